"""What jobs make of every family and for every task, exported, as transformers, peft and sentence-transformers load it.

make_trained.py runs check() on its cluster. Each case is a tiny random base, a short job on it, and the folder that `attune model export`
wrote: the library must miss no weight, and must find the validation loss that the job reported, to 1e-4 of it. The tokenizers are those of
tests/fixtures/text.
"""

import dataclasses
from typing import Callable

import peft
import sentence_transformers
import torch
import transformers
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from make_references import BASE, FAMILIES, T5_FAMILIES, make_model
from masking import hide
from pinned import ROOT

LENGTH = 48  # tokens of a text: within the positions of every family, beyond their windows
SPEC = """
name: {name}
base: {base}
dataset: {dataset}
method: {method}
task: {task}
ranks: 2
train: {{epochs: 100, max_steps: 8, sequence_length: {length}, global_batch: 32, micro_batch: 8, packing: false, loss_on: all, threads: 1}}
optimizer: {{learning_rate: {rate}}}
evaluate: {{every_steps: 0, max_examples: 0}}
"""
LABELS = ["method", "function", "words"]
CLASSIFY = f"{{type: classification, labels: [{', '.join(LABELS)}]}}"
BERT = dict(hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
            pad_token_id=0)


def loaded(kind, folder, but=(), **options):
    """The model of a folder; fails where weights are missing or left over, but those of modules of these names."""
    model, found = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager", **options)
    wrong = {what: [name for name in sorted(names) if str(name).split(".")[0] not in but] for what, names in found.items()}
    if any(wrong.values()):
        raise SystemExit(f"transformers does not load {folder}: {wrong}")
    return model.eval()


def tokenizer_of(folder):
    """What the folder's tokenizer.json says: AutoTokenizer would put Qwen2's splitting into a small tokenizer beside a Qwen2."""
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


def adapted(base, folder, **options):
    """The model with the adapter of a folder, by peft."""
    model = peft.PeftModel.from_pretrained(base, folder, **options)
    again = model.load_adapter(folder, adapter_name="again")
    missing = [name for name in again.missing_keys if ".again." in name]
    if missing or again.unexpected_keys:
        raise SystemExit(f"peft does not load {folder}: missing {missing}, unexpected {again.unexpected_keys}")
    model.delete_adapter("again")
    return model.eval()


# The loss of validation rows: the sum, and what it is divided by.


def next_tokens(model, tokenizer, rows, length=LENGTH):
    total, count = 0.0, 0
    for row in rows:
        text = row["text"].removesuffix(tokenizer.eos_token) + tokenizer.eos_token
        tokens = torch.tensor(tokenizer(text).input_ids[:length])
        logits = model(tokens[None], use_cache=False).logits[0, -len(tokens):].float()  # behind a prompt
        total += torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="sum").item()
        count += len(tokens) - 1
    return total, count


def answers(model, tokenizer, rows):
    total, count = 0.0, 0
    for row in rows:
        source, answer = (tokenizer(row[part], truncation=True, max_length=LENGTH, return_tensors="pt").input_ids
                          for part in ("prompt", "completion"))
        total += model(input_ids=source, labels=answer, use_cache=False).loss.item() * answer.shape[1]
        count += answer.shape[1]
    return total, count


def labels(model, tokenizer, rows):
    """In batches with padding, as people ask classifiers."""
    total = 0.0
    for first in range(0, len(rows), 8):
        some = rows[first:first + 8]
        batch = tokenizer([row["text"] for row in some], truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        wanted = torch.tensor([LABELS.index(row["metadata"]["label"]) for row in some])
        total += model(**batch, labels=wanted).loss.item() * len(some)
    return total, len(rows)


def masked_tokens(model, tokenizer, rows):
    """What is hidden of a row follows from its id."""
    total, units = 0.0, 0
    for row in rows:
        tokens = tokenizer(row["text"], truncation=True, max_length=LENGTH).input_ids
        shown, wanted, count = hide(tokens, range(1, len(tokens) - 1), int(row["id"][:16], 16), model.config.vocab_size,
                                    tokenizer.mask_token_id)
        total += model(input_ids=torch.tensor([shown]), labels=torch.tensor([wanted])).loss.item() * count
        units += count
    return total, units


def neighbours(model, tokenizer, rows):
    """All rows stand against each other: they are fewer than a step has."""
    loss = sentence_transformers.sentence_transformer.losses.MultipleNegativesRankingLoss(model, scale=20.0)
    texts = [model.preprocess([row[part] for row in rows]) for part in ("prompt", "completion")]
    return loss(texts, None).item() * len(rows), len(rows)


@dataclasses.dataclass
class Case:
    make_base: Callable  # of a folder and the tokenizer, which is there already
    load: Callable  # of the folders of the base and of the export
    loss: Callable  # of the model, the tokenizer and validation rows
    tokenizer: str = "small"
    dataset: str = "texts"
    method: str = "full"
    task: str = "auto"
    rate: float = 1e-2


def base_of(config, options, kind=transformers.AutoModelForCausalLM):
    def make_base(folder, tokenizer):
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id} if tokenizer.eos_token else {}
        make_model(config(**{**options, "vocab_size": len(tokenizer), **ends}), kind).save_pretrained(folder)

    return make_base


def whole(kind=transformers.AutoModelForCausalLM):
    return lambda base, folder: loaded(kind, folder)


def decoder(name):
    family, options = FAMILIES[name]
    return Case(base_of(getattr(transformers, family + "Config"), options), whole(), next_tokens)


def encoder_decoder(name):
    kind = transformers.T5ForConditionalGeneration
    return Case(base_of(transformers.T5Config, T5_FAMILIES[name], kind), whole(kind), answers, "t5", "pairs")


def llama(folder, tokenizer):
    """Which ends at either of two tokens, as Llama 3 does, and has no token for padding."""
    base_of(transformers.LlamaConfig, {**BASE, "max_position_embeddings": 64})(folder, tokenizer)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.eos_token_id = [tokenizer.eos_token_id, tokenizer.unk_token_id]
    config.save_pretrained(folder)


bert = base_of(transformers.BertConfig, BERT, transformers.BertModel)
classifier = whole(transformers.AutoModelForSequenceClassification)


def labelling_adapter(base, folder):
    """As a user of peft does it: on the base, whose head is new."""
    model = loaded(transformers.AutoModelForSequenceClassification, base, ("classifier", "score", "lm_head"),
                   num_labels=len(LABELS), pad_token_id=tokenizer_of(base).pad_token_id)
    return adapted(model, folder)


def sentences(folder, tokenizer):
    """A base with the files of sentence-transformers."""
    bert(folder, tokenizer)
    sentence_transformers.SentenceTransformer(
        modules=[Transformer(str(folder)), Pooling(BERT["hidden_size"]), Normalize()]).save(str(folder))


def embedder(_, folder):
    loaded(transformers.AutoModel, folder)
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu").eval()


LORA = "{type: lora, rank: 4, alpha: 8}"
DORA = "{type: lora, rank: 4, alpha: 8, dora: true, target_modules: [q_proj, down_proj], modules_to_save: [embed_tokens, lm_head, norm]}"
CASES = {
    **{name: decoder(name) for name in FAMILIES},
    **{name: encoder_decoder(name) for name in T5_FAMILIES},
    "bert-masked": Case(base_of(transformers.BertConfig, BERT, transformers.BertForMaskedLM), whole(transformers.AutoModelForMaskedLM),
                        masked_tokens, "wordpiece"),
    "bert-labels": Case(bert, classifier, labels, "wordpiece", "labelled", task=CLASSIFY),
    "llama-labels": Case(llama, classifier, labels, "small", "labelled", task=CLASSIFY),
    "bert-labels-lora": Case(bert, labelling_adapter, labels, "wordpiece", "labelled", LORA, CLASSIFY, 3e-2),
    "llama-labels-lora": Case(llama, labelling_adapter, labels, "small", "labelled", LORA, CLASSIFY, 3e-2),
    "bert-sentences": Case(sentences, embedder, neighbours, "wordpiece", "pairs", rate=1e-3),
    "llama-dora": Case(llama, lambda base, folder: adapted(loaded(transformers.AutoModelForCausalLM, base), folder), next_tokens,
                       method=DORA),
}


def import_rows(cluster, texts, work):
    def label(text):
        return LABELS[0] if "self" in text else LABELS[1] if text.lstrip().startswith("def") else LABELS[2]

    # A text that ends in the token for padding would end before it for transformers.
    cluster.import_rows("labelled", [{"text": text, "label": label(text)} for text in texts if "<|im_end|>" not in text], work)
    cluster.import_rows("pairs", [{"prompt": text[:60], "completion": text[60:]} for text in texts if len(text) > 60], work)


def check_loss(name, loss, model, tokenizer, rows, reported):
    with torch.no_grad():
        total, count = loss(model, tokenizer, rows)
    if not abs(total / count - reported) <= 1e-4 * reported:
        raise SystemExit(f"{name}: the job reported a validation loss of {reported}, the library finds {total / count}")
    print(f"{name}: validation loss {reported:.6f}, as the job reported", flush=True)


def check_case(cluster, name, case, work):
    base, export = work / f"{name}-base", work / name
    tokenizer = tokenizer_of(ROOT / "tests/fixtures/text" / case.tokenizer)
    tokenizer.save_pretrained(base)
    case.make_base(base, tokenizer)
    cluster.run("model", "import", f"{name}-base", base)
    spec = SPEC.format(name=name, base=f"{name}-base", dataset=case.dataset, method=case.method, task=case.task, rate=case.rate,
                       length=LENGTH)
    before, reported = cluster.train(name, spec, work)
    if not abs(reported - before) > 1e-3 * before:  # ten times the tolerance, so that the base would be told from what was trained
        raise SystemExit(f"{name}: the job changed little: a validation loss of {before} before, {reported} after")
    cluster.run("model", "export", name, export)
    check_loss(name, case.loss, case.load(base, export), tokenizer_of(export), cluster.validation_rows(case.dataset), reported)


def check(cluster, texts, work):
    import_rows(cluster, texts, work)
    for name, case in CASES.items():
        check_case(cluster, name, case, work)
