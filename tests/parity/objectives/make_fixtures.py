#!/usr/bin/env python3
"""What transformers and peft make of the objectives: tests/parity/objectives/fixtures.

usage: make_fixtures.py            writes them
       make_fixtures.py --compare  changes nothing; exit 1 when they are not what is made now

Of each: the loss and every gradient of the first batch, and 20 steps of AdamW, with the mean loss of each step. The losses are the
libraries' own: transformers' of classifiers and of masked tokens, trl's DPOTrainer's of preferences, and sentence-transformers'
MultipleNegativesRankingLoss of embeddings.
"""

import argparse
import pathlib
import sys
import tempfile

import datasets
import torch
import transformers
import trl
from safetensors.torch import save_file
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, pre_tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import make_references as references  # noqa: E402
from masking import Draws, hide  # noqa: E402
from pinned import ROOT, check_versions  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures"
VOCABULARY = references.VOCABULARY
STEPS = 20
LABELS = ["cold", "warm", "hot"]
BETA, SCALE = 0.3, 20.0
MASK, SEED = 3, 1  # the token that hides others; train.seed of the test's job
BERT = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, pad_token_id=0)
LLAMA = dict(references.BASE, max_position_embeddings=64)


def texts(generator, lengths):
    return [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def padded(rows):
    """What models take of some texts together."""
    longest = max(len(row) for row in rows)
    return dict(input_ids=torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
                attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]))


# An objective makes batches, and of a model (and what it is at the start) the loss of a batch: the mean over `units`.


class Classification:
    def batch(self, generator, step):
        lengths = torch.randint(4, 30, (4,), generator=generator).tolist()
        labels = torch.randint(0, len(LABELS), (4,), generator=generator).tolist()
        return [dict(texts=[text], label=label) for text, label in zip(texts(generator, lengths), labels)]

    def loss_of(self, model, reference):
        def loss(batch):
            wanted = torch.tensor([example["label"] for example in batch])
            return model(**padded([example["texts"][0] for example in batch]), labels=wanted).loss

        return loss

    units = staticmethod(len)


class Masked:
    """Attune draws what is hidden from the seed, the step and the example's number."""

    def batch(self, generator, step):
        lengths = torch.randint(4, 40, (4,), generator=generator).tolist()
        batch = [dict(texts=[text]) for text in texts(generator, lengths)]
        for i, example in enumerate(batch):
            draw = Draws(Draws(SEED).next() ^ step).next()
            seed = Draws(draw).next() ^ (4 * step + i)
            text = example["texts"][0]
            example["shown"], example["wanted"], example["hidden"] = hide(text, range(1, len(text)), seed, VOCABULARY, MASK)
        return batch

    def loss_of(self, model, reference):
        def loss(batch):
            shown = padded([example["shown"] for example in batch])
            width = shown["input_ids"].shape[1]
            wanted = torch.tensor([example["wanted"] + [-100] * (width - len(example["wanted"])) for example in batch])
            return model(**shown, labels=wanted).loss

        return loss

    @staticmethod
    def units(batch):
        return sum(example["hidden"] for example in batch)


class Preference:
    def batch(self, generator, step):
        batch = []
        for _ in range(3):
            lengths = torch.randint(2, 16, (3,), generator=generator).tolist()
            prompt, chosen, rejected = texts(generator, lengths)
            batch.append(dict(prompt=len(prompt), texts=[prompt + chosen, prompt + rejected]))
        return batch

    def loss_of(self, model, reference):
        trainer = dpo_trainer(model, reference)

        def loss(batch):
            rows = [dict(prompt_ids=chosen[:example["prompt"]], chosen_ids=chosen[example["prompt"]:],
                         rejected_ids=rejected[example["prompt"]:])
                    for example in batch for chosen, rejected in [example["texts"]]]
            return trainer.compute_loss(trainer.model, trainer.data_collator(rows))

        return loss

    units = staticmethod(len)


class Embedding:
    def batch(self, generator, step):
        batch = []
        for i in range(4):
            lengths = torch.randint(3, 20, (3 if i % 2 else 2,), generator=generator).tolist()
            batch.append(dict(texts=texts(generator, lengths)))
        return batch

    def loss_of(self, model, reference):
        pooling, ranking = Pooling(model.config.hidden_size), MultipleNegativesRankingLoss(None, scale=SCALE)

        def embedded(rows):
            features = padded(rows)
            return pooling(dict(features, token_embeddings=model(**features).last_hidden_state))["sentence_embedding"]

        def loss(batch):
            columns = [[e["texts"][i] for e in batch if len(e["texts"]) > i] for i in range(3)]
            return ranking.compute_loss_from_embeddings([embedded(column) for column in columns], None)

        return loss

    units = staticmethod(len)


def dpo_trainer(model, reference):
    """trl's, with a data set and a tokenizer that it demands. Of an adapter it has the start itself."""
    rows = datasets.Dataset.from_list([dict(prompt="a", chosen="b", rejected="c")])
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "tests/fixtures/text/small")
    options = trl.DPOConfig(output_dir=tempfile.gettempdir(), beta=BETA, loss_type="sigmoid", use_cpu=True, bf16=False,
                            gradient_checkpointing=False, max_length=None, disable_dropout=True, report_to=[])
    is_adapted = hasattr(model, "peft_config")
    return trl.DPOTrainer(model=model, ref_model=None if is_adapted else reference, args=options, train_dataset=rows,
                          processing_class=tokenizer)


def classifier(kind, config):
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: i for i, label in enumerate(LABELS)}
    config.pad_token_id = 0
    return references.make_model(config, kind)


def labels_lora(model):
    """As a user of peft does it: the head is new, and trains as a whole beside A and B."""
    torch.manual_seed(11)
    targets = ["query", "value"] if model.config.model_type == "bert" else ["q_proj", "v_proj", "down_proj"]
    return references.attach_lora(model, task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=targets)


def without_head(classifier):
    """What such a user starts from: the model that knows no labels."""
    if classifier.config.model_type == "bert":
        return classifier.bert
    base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA))
    base.model.load_state_dict(classifier.model.state_dict())
    return base


CASES = {
    "bert-labels": (Classification(), lambda: classifier(
        transformers.BertForSequenceClassification, transformers.BertConfig(**BERT))),
    "llama-labels": (Classification(), lambda: classifier(
        transformers.LlamaForSequenceClassification, transformers.LlamaConfig(**LLAMA))),
    "gpt2-labels": (Classification(), lambda: classifier(
        transformers.GPT2ForSequenceClassification, transformers.GPT2Config(**references.FAMILIES["gpt2"][1]))),
    "bert-labels-lora": (Classification(), lambda: labels_lora(CASES["bert-labels"][1]())),
    "llama-labels-lora": (Classification(), lambda: labels_lora(CASES["llama-labels"][1]())),
    "llama-preference": (Preference(), lambda: references.make_model(
        transformers.LlamaConfig(**LLAMA), transformers.LlamaForCausalLM)),
    "llama-preference-lora": (Preference(), lambda: references.attach_lora(references.make_model(
        transformers.LlamaConfig(**LLAMA), transformers.LlamaForCausalLM))),
    "bert-masked": (Masked(), lambda: references.make_model(
        transformers.BertConfig(**BERT), transformers.BertForMaskedLM)),
    "bert-embedding": (Embedding(), lambda: references.make_model(
        transformers.BertConfig(**BERT), transformers.BertModel)),
}


def gradients(model):
    return {"grad." + name.replace(".modules_to_save.", ".").replace(".default.", "."): parameter.grad.clone()
            for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is not None}


def train(model, reference, objective, batches):
    decayed = set(transformers.Trainer.get_decay_parameter_names(None, model))
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    options = references.TRAINING
    optimizer = torch.optim.AdamW(
        [dict(params=[p for n, p in trained if n in decayed], weight_decay=options["weight_decay"]),
         dict(params=[p for n, p in trained if n not in decayed], weight_decay=0.0)],
        lr=options["learning_rate"], betas=(options["beta1"], options["beta2"]), eps=options["epsilon"])
    losses, loss_of = [], objective.loss_of(model, reference)
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trained], options["clip_norm"])
        optimizer.step()
        losses.append(loss.item())
    return losses


def write_tokenizer(folder):
    """What says which token hides others."""
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[MASK]": MASK}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", mask_token="[MASK]", pad_token="[PAD]"
                                         ).save_pretrained(folder)


def make_case(folder, name, objective, make):
    generator = torch.Generator().manual_seed(5)
    batches = [objective.batch(generator, step) for step in range(STEPS)]
    model, reference = make(), make()  # of an adapter that training goes on with, as it is at the start
    folder.mkdir(parents=True)
    if name.endswith("-lora"):
        base = CASES[name.removesuffix("-lora")][1]()
        base = without_head(base) if "labels" in name else base
        base.save_pretrained(folder / "model")
        model.save_pretrained(folder / "adapter")
        (folder / "adapter/README.md").unlink(missing_ok=True)
    else:
        model.save_pretrained(folder / "model")
    (folder / "model/generation_config.json").unlink(missing_ok=True)
    if name == "bert-masked":
        write_tokenizer(folder / "model")
    loss = objective.loss_of(model, reference)(batches[0]) * objective.units(batches[0])
    loss.backward()
    save_file({"loss": loss.detach().view(1), **gradients(model)}, folder / "expected.safetensors")
    references.write_json(folder / "expected.json", dict(
        batches=batches, losses=train(make(), reference, objective, batches), beta=BETA, scale=SCALE, labels=LABELS,
        options=references.TRAINING))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        made = pathlib.Path(temporary) / "fixtures"
        for name, (objective, make) in CASES.items():
            make_case(made / name, name, objective, make)
        if arguments.compare:
            found = list(references.differences(made, FOLDER))
            print("\n".join(found) or "the fixtures are what the references make")
            sys.exit(1 if found else 0)
        references.shutil.rmtree(FOLDER, ignore_errors=True)
        references.shutil.copytree(made, FOLDER)


if __name__ == "__main__":
    main()
