#!/usr/bin/env python3
"""Models that jobs of a real cluster wrote, as transformers and peft load them.

usage: make_trained.py FOLDER [--bin build/bin]

A tiny random Llama made by transformers is fine-tuned through the command line, wholly, with LoRA and with a prompt, and exported. Of each
export, FOLDER gets a copy with the expectations of tests/parity/README.md, for model_parity_test: `full`, `lora` (the
adapter, on `base`), `merged`, `prompt`. Fails when a library misses a weight, when weights are those of the base, or when the loss that
a job reported is not the one that the libraries find on the same examples.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
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


class Cluster:
    """Attune on this machine, with its state in a folder."""

    def __init__(self, programs, home):
        self.attune = programs / "attune"
        self.home = home
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_")}
        self.environment |= {"ATTUNE_HOME": str(home), "ATTUNE_CONFIG": str(home / "none.yaml")}

    def run(self, *arguments):
        done = subprocess.run([self.attune, *arguments], env=self.environment, text=True, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"attune {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def __enter__(self):
        self.run("up", "--workers", "2", "--device", "cpu", "--port", "0", "--metrics-port", "0")
        return self

    def __exit__(self, *_):
        self.run("down")


def make_base(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    changes = {"vocab_size": len(tokenizer), "max_position_embeddings": 160, "eos_token_id": tokenizer.eos_token_id}
    make_model(transformers.LlamaConfig(**{**BASE, **changes})).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def texts():
    rows = [json.loads(line)["text"] for line in (TOKENIZER / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{"text": row[:120]} for row in rows if row.strip()]


def train(cluster, name, work):
    """The validation loss that the job reported at its end."""
    spec = work / f"{name}.yaml"
    spec.write_text(SPEC.format(name=name, method=METHODS[name], rate=RATES[name]))
    cluster.run("job", "submit", spec, "--watch")
    rows = [json.loads(line) for line in cluster.run("job", "metrics", name, "-o", "jsonl").splitlines()]
    return [row["validation_loss"] for row in rows if row.get("validation_loss") is not None][-1]


def loaded(folder):
    model, found = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    wrong = {what: sorted(names) for what, names in found.items() if names}
    if wrong:
        raise SystemExit(f"transformers does not load {folder}: {wrong}")
    return model.eval()


def loaded_adapter(base, folder):
    if folder.name == "prompt":
        return loaded_prompt(base, folder)
    model = peft.PeftModel.from_pretrained(loaded(base), folder, is_trainable=True)
    wrong = model.load_adapter(folder, adapter_name="again")
    missing = [name for name in wrong.missing_keys if ".again." in name]
    if missing or wrong.unexpected_keys:
        raise SystemExit(f"peft does not load {folder}: missing {missing}, unexpected {wrong.unexpected_keys}")
    model.delete_adapter("again")
    check_found_base(folder, base)
    return model.eval()


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


def validation_loss(model, tokenizer, folder):
    total, count = 0.0, 0
    for shard in sorted(folder.glob("validation-*.jsonl")):
        for line in shard.read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["text"].removesuffix(tokenizer.eos_token) + tokenizer.eos_token
            tokens = torch.tensor(tokenizer(text).input_ids[:128])
            with torch.no_grad():
                logits = model(tokens[None], use_cache=False).logits[0, -len(tokens):].float()
            total += torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="sum").item()
            count += len(tokens) - 1
    return total / count


def check(name, model, tokenizer, data, reported):
    found = validation_loss(model, tokenizer, data)
    if not abs(found - reported) <= 1e-4 * reported:
        raise SystemExit(f"{name}: the job reported a validation loss of {reported}, the libraries find {found}")
    print(f"{name}: validation loss {found:.6f}, as the job reported")


def make(cluster, work, output):
    make_base(output / "base")
    data = work / "texts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in texts()), encoding="utf-8")
    cluster.run("model", "import", "base", output / "base")
    cluster.run("dataset", "import", "texts", data, "--validation", "0.2")
    reported = {name: train(cluster, name, work) for name in METHODS}
    for name, options in {"full": ["full"], "lora": ["lora"], "merged": ["lora", "--merge"], "prompt": ["prompt"]}.items():
        cluster.run("model", "export", options[0], output / name, *options[1:])

    tokenizer = transformers.AutoTokenizer.from_pretrained(output / "full")
    validation = cluster.home / "storage/datasets/texts/1"
    base_loss = validation_loss(loaded(output / "base"), tokenizer, validation)
    examples = make_examples(3, LENGTHS, len(tokenizer))
    for name in ("full", "lora", "merged", "prompt"):
        adapter = name in ("lora", "prompt")
        model = loaded_adapter(output / "base", output / name) if adapter else loaded(output / name)
        job = "lora" if name == "merged" else name
        if not reported[job] < 0.97 * base_loss:
            raise SystemExit(f"{name} has learned nothing: {base_loss} before, {reported[job]} after")
        check(name, model, tokenizer, validation, reported[job])
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
            make(cluster, work, options.output.resolve())


if __name__ == "__main__":
    main()
