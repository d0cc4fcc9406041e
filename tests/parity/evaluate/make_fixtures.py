#!/usr/bin/env python3
"""What transformers and peft measure of each example: tests/fixtures/evaluate/expected.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

small: the examples of tests/fixtures/model/CASE, each alone: the sum of its targets' negative log likelihoods, the mean entropy
of the next-token distributions over all its positions, and the mean over its positions of the last hidden state, which is
behind the final norm.
smollm2: the same of texts and SmolLM2-135M-Instruct out of its GGUF file; tokens as the tokenizer makes them by default, loss
as a mean over all tokens but the first, some columns of the mean hidden state. labels: the total log likelihoods of completions
after prompts, the end-of-sequence token included.
minilm: texts as sentence-transformers embeds them with all-MiniLM-L6-v2: cut at 256 tokens, the mean over the tokens, of unit length.
"""

import argparse
import json
import pathlib
import sys

import peft
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from pinned import MINILM, ROOT, SMOLLM2, check_versions  # noqa: E402

EXPECTED = ROOT / "tests/fixtures/evaluate/expected.json"
MODELS = ROOT / "tests/fixtures/model"
CASES = ("default", "tied-bias", "llama3", "lora")
TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n",
    "qxzv 9381 ## ~~ jjkw",
    "Ein kurzer Satz auf Deutsch, mit Umlauten: äöü.",
    "One.",
)
LABELS = (" positive", " negative", " neutral")
PROMPTS = ("Review: I loved every minute of it.\nSentiment:", "Review: A dull and endless film.\nSentiment:")


def measure(model, tokens):
    """(negative log likelihood of each token but the first, entropy at each position, last hidden state)."""
    inner = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    with torch.no_grad():
        hidden = inner.model(input_ids=torch.tensor([tokens]), use_cache=False).last_hidden_state[0].float()
        logits = inner.lm_head(hidden).double()
    log_probability = torch.log_softmax(logits, -1)
    entropy = -(log_probability.exp() * log_probability).sum(-1)
    losses = -log_probability[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    return losses, entropy, hidden.double()


def load(case):
    if case != "lora":
        return transformers.LlamaForCausalLM.from_pretrained(MODELS / case, dtype=torch.float32).eval()
    return peft.PeftModel.from_pretrained(load("default"), MODELS / case).eval()


def make_small():
    cases = {}
    for case in CASES:
        model = load(case)
        cases[case] = []
        for example in json.loads((MODELS / case / "expected.json").read_text())["examples"]:
            losses, entropy, hidden = measure(model, example["tokens"])
            mask = torch.tensor(example["targets"][1:], dtype=torch.bool)
            cases[case].append({"loss_sum": losses[mask].sum().item(), "entropy": entropy.mean().item(),
                                "embedding": hidden.mean(0).tolist()})
    return cases


def make_smollm2():
    model = transformers.AutoModelForCausalLM.from_pretrained(
        SMOLLM2.parent, gguf_file=SMOLLM2.name, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(SMOLLM2.parent, gguf_file=SMOLLM2.name)
    texts = []
    for text in TEXTS:
        tokens = tokenizer(text).input_ids
        losses, entropy, hidden = measure(model, tokens)
        mean = hidden.mean(0)
        texts.append({"text": text, "tokens": len(tokens), "loss": losses.mean().item() if len(tokens) > 1 else 0.0,
                      "entropy": entropy.mean().item(), "every_ninth": mean[::9].tolist()})
    labels = []
    for prompt in PROMPTS:
        before = tokenizer(prompt).input_ids
        scores = []
        for label in LABELS:
            tokens = tokenizer(prompt + label + tokenizer.eos_token).input_ids
            assert tokens[: len(before)] == before
            scores.append(-measure(model, tokens)[0][len(before) - 1:].sum().item())
        labels.append({"prompt": prompt, "labels": LABELS, "log_likelihoods": scores})
    return {"file": SMOLLM2.name, "texts": texts, "labels": labels}


def make_minilm():
    model = transformers.AutoModel.from_pretrained(MINILM, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    length = json.loads((MINILM / "sentence_bert_config.json").read_text())["max_seq_length"]
    texts = []
    for text in TEXTS + ("All of it, again and again. " * 60,):
        tokens = tokenizer(text, truncation=True, max_length=length, padding=False).input_ids
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([tokens])).last_hidden_state[0].double()
        embedding = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        texts.append({"text": text, "tokens": len(tokens), "every_ninth": embedding[::9].tolist()})
    return texts


def near(made, kept):
    if isinstance(made, float) and isinstance(kept, float):
        return abs(made - kept) <= 1e-5 * max(1.0, abs(kept))
    if isinstance(made, dict) and isinstance(kept, dict):
        return made.keys() == kept.keys() and all(near(made[key], kept[key]) for key in made)
    if isinstance(made, list) and isinstance(kept, list):
        return len(made) == len(kept) and all(near(a, b) for a, b in zip(made, kept))
    return made == kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    made = json.loads(json.dumps({"small": make_small(), "smollm2": make_smollm2(), "minilm": make_minilm()}))
    if options.compare:
        same = near(made, json.loads(EXPECTED.read_text(encoding="utf-8")))
        print(f"{EXPECTED.name}:", "the same" if same else "they differ")
        sys.exit(0 if same else 1)
    EXPECTED.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
