#!/usr/bin/env python3
"""What transformers and peft make of the objectives: tests/parity/objectives/fixtures.

usage: make_fixtures.py            writes them
       make_fixtures.py --compare  changes nothing; exit 1 when they are not what is made now

Of each: the loss and every gradient of the first batch, and 20 steps of AdamW, with the mean loss of each step. The losses are
transformers' own for classification, and by their definitions for the others: preference as trl's DPOTrainer has it
(loss_type sigmoid: -logsigmoid(beta * ((log p(chosen) - log p(rejected)) - the same of the reference))), embedding as
sentence-transformers' MultipleNegativesRankingLoss (cross entropy of scaled cosines of means over tokens).
"""

import argparse
import pathlib
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import make_references as references  # noqa: E402
from pinned import check_versions  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "fixtures"
VOCABULARY = references.VOCABULARY
STEPS = 20
LABELS = ["cold", "warm", "hot"]
BETA, SCALE = 0.3, 20.0
BERT = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=64, pad_token_id=0)
LLAMA = dict(references.BASE, max_position_embeddings=64)


def texts(generator, lengths):
    return [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def log_likelihood(model, prompt, answer):
    tokens = torch.tensor([prompt + answer])
    logits = model(input_ids=tokens, use_cache=False).logits[0].float()
    taken = torch.log_softmax(logits[:-1], 1).gather(1, tokens[0, 1:, None])[:, 0]
    return taken[len(prompt) - 1:].sum()


def embedded(model, tokens):
    mean = model(input_ids=torch.tensor([tokens])).last_hidden_state[0].mean(0)
    return torch.nn.functional.normalize(mean, dim=0)


class Classification:
    def batch(self, generator):
        lengths = torch.randint(4, 30, (4,), generator=generator).tolist()
        labels = torch.randint(0, len(LABELS), (4,), generator=generator).tolist()
        return [dict(texts=[text], label=label) for text, label in zip(texts(generator, lengths), labels)]

    def loss(self, model, reference, batch):
        losses = [model(input_ids=torch.tensor([e["texts"][0]]), labels=torch.tensor([e["label"]])).loss for e in batch]
        return torch.stack(losses).sum()


class Preference:
    def batch(self, generator):
        batch = []
        for _ in range(3):
            lengths = torch.randint(2, 16, (3,), generator=generator).tolist()
            prompt, chosen, rejected = texts(generator, lengths)
            batch.append(dict(prompt=len(prompt), texts=[prompt + chosen, prompt + rejected]))
        return batch

    def loss(self, model, reference, batch):
        total = 0
        for example in batch:
            cut = example["prompt"]
            pair = [(text[:cut], text[cut:]) for text in example["texts"]]
            with torch.no_grad():
                start = [log_likelihood(reference, *text) for text in pair]
            now = [log_likelihood(model, *text) for text in pair]
            delta = (now[0] - now[1]) - (start[0] - start[1])
            total = total - torch.nn.functional.logsigmoid(BETA * delta)
        return total


class Embedding:
    def batch(self, generator):
        batch = []
        for i in range(4):
            lengths = torch.randint(3, 20, (3 if i % 2 else 2,), generator=generator).tolist()
            batch.append(dict(texts=texts(generator, lengths)))
        return batch

    def loss(self, model, reference, batch):
        anchors = torch.stack([embedded(model, e["texts"][0]) for e in batch])
        candidates = torch.stack([embedded(model, e["texts"][1]) for e in batch] +
                                 [embedded(model, e["texts"][2]) for e in batch if len(e["texts"]) > 2])
        scores = anchors @ candidates.T * SCALE
        return torch.nn.functional.cross_entropy(scores, torch.arange(len(batch)), reduction="sum")


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
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = objective.loss(model, reference, batch) / len(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trained], options["clip_norm"])
        optimizer.step()
        losses.append(loss.item())
    return losses


def make_case(folder, name, objective, make):
    generator = torch.Generator().manual_seed(5)
    batches = [objective.batch(generator) for _ in range(STEPS)]
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
    loss = objective.loss(model, reference, batches[0])
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
