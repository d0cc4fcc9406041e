#!/usr/bin/env python3
"""Models that jobs of a real cluster wrote, as transformers and peft load them.

usage: make_trained.py FOLDER [--bin build/bin]

A tiny random Llama made by transformers is fine-tuned through the command line, wholly, with LoRA and with a prompt, and exported. Of each
export, FOLDER gets a copy with the expectations of tests/parity/README.md, for model_parity_test: `full`, `lora` (the
adapter, on `base`), `merged`, `prompt`. Fails when a library misses a weight, when weights are those of the base, or when the loss that
a job reported is not the one that the libraries find on the same examples. Then exports.py does so for every family and task.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import exports  # noqa: E402
from cluster import Cluster  # noqa: E402
from make_references import BASE, LENGTHS, make_examples, make_model, write_expected  # noqa: E402
from prompt_references import write_prompt  # noqa: E402
from pinned import ROOT, check_versions  # noqa: E402

TOKENIZER = ROOT / "tests/fixtures/text/small"
METHODS = {"full": "full", "lora": "{type: lora, rank: 4, alpha: 8}", "prompt": "{type: prompt-tuning, virtual_tokens: 8}"}
RATES = {"full": 1e-2, "lora": 1e-2, "prompt": 0.3}
SPEC = """
name: {name}
base: base
dataset: texts
method: {method}
ranks: 2
train: {{epochs: 100, max_steps: 20, sequence_length: 128, global_batch: 4, loss_on: all, threads: 1}}
optimizer: {{learning_rate: {rate}}}
evaluate: {{every_steps: 0, max_examples: 0}}
"""


def make_base(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    changes = {"vocab_size": len(tokenizer), "max_position_embeddings": 160, "eos_token_id": tokenizer.eos_token_id}
    make_model(transformers.LlamaConfig(**{**BASE, **changes})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def texts():
    rows = [json.loads(line)["text"] for line in (TOKENIZER / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row[:120] for row in rows if row.strip()]


def loaded(folder):
    return exports.loaded(transformers.AutoModelForCausalLM, folder)


def loaded_adapter(base, folder):
    if folder.name == "prompt":
        return loaded_prompt(base, folder)
    model = exports.adapted(loaded(base), folder, is_trainable=True)
    check_found_base(folder, base)
    return model


def loaded_prompt(base, folder):
    """peft takes none that is to train on, and does not tell what it misses."""
    model = peft.PeftModel.from_pretrained(loaded(base), folder)
    model.prompt_encoder.requires_grad_(True)
    rows = load_file(folder / "adapter_model.safetensors")
    if list(rows) != ["prompt_embeddings"] or not torch.equal(rows["prompt_embeddings"], model.get_prompt(1)[0]):
        raise SystemExit(f"peft does not load {folder}: it has {list(rows)}")
    check_found_base(folder, base)
    return model.eval()


def check_found_base(adapter, base):
    """The adapter names the folder that its base was imported from, so that peft finds it alone."""
    found = peft.AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
    if found.peft_config["default"].base_model_name_or_path != str(base):
        raise SystemExit(f"{adapter} does not name its base {base}")


def loss(model, tokenizer, rows):
    return exports.next_tokens(model, tokenizer, rows, length=128)


def make(cluster, work, output):
    make_base(output / "base")
    cluster.run("model", "import", "base", output / "base")
    specs = {name: SPEC.format(name=name, method=method, rate=RATES[name]) for name, method in METHODS.items()}
    reported = {name: cluster.train(name, spec, work)[1] for name, spec in specs.items()}
    for name, options in {"full": ["full"], "lora": ["lora"], "merged": ["lora", "--merge"], "prompt": ["prompt"]}.items():
        cluster.run("model", "export", options[0], output / name, *options[1:])

    tokenizer = transformers.AutoTokenizer.from_pretrained(output / "full")
    validation = cluster.validation_rows("texts")
    with torch.no_grad():
        total, count = loss(loaded(output / "base"), tokenizer, validation)
    examples = make_examples(3, LENGTHS, len(tokenizer))
    for name in ("full", "lora", "merged", "prompt"):
        adapter = name in ("lora", "prompt")
        model = loaded_adapter(output / "base", output / name) if adapter else loaded(output / name)
        job = "lora" if name == "merged" else name
        if not reported[job] < 0.97 * total / count:
            raise SystemExit(f"{name} has learned nothing: {total / count} before, {reported[job]} after")
        exports.check_loss(name, loss, model, tokenizer, validation, reported[job])
        write = write_prompt if name == "prompt" else write_expected
        write(output / name, model, examples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/bin", dest="programs")
    options = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        with Cluster(options.programs.resolve(), work / "home") as cluster:
            cluster.import_rows("texts", [{"text": text} for text in texts()], work)
            make(cluster, work, options.output.resolve())
            exports.check(cluster, texts(), work)


if __name__ == "__main__":
    main()
