#!/usr/bin/env python3
"""Adapters of every kind that peft makes, with what each makes of its base: logits, gradients, 20 steps of training.

usage: peft_references.py [--output FOLDER]

make_references.py makes them with the rest. FOLDER/CASE is an adapter as peft saves it, on the base that its expected.json names,
with the expectations of README.md; the batches and options of its training.json are those of FOLDER/../training.json.
"""

import argparse
import pathlib
import shutil
import sys

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import make_references as make  # noqa: E402
from pinned import ROOT, check_versions  # noqa: E402

# The base, and what its adapter's configuration has beside make.LORA.
CASES = {
    "saved": ("default", dict(target_modules=["q_proj", "down_proj"],
                              modules_to_save=["embed_tokens", "lm_head", "v_proj", "norm"])),
    "saved-tied": ("qwen2", dict(target_modules=["q_proj", "o_proj"], modules_to_save=["embed_tokens", "k_proj", "layers.1.mlp"],
                                 ensure_weight_tying=True)),
    "saved-gpt2": ("gpt2", dict(target_modules=["c_attn"], fan_in_fan_out=True, modules_to_save=["ln_1", "c_fc", "wpe", "ln_f"])),
    "saved-heads": ("qwen3", dict(target_modules=["q_proj"], modules_to_save=["q_norm", "up_proj"])),
    "patterns": ("default", dict(
        target_modules=r"model\.layers\.\d+\.(self_attn|mlp)\.(q|v|up|down)_proj", exclude_modules=["layers.0.mlp.up_proj"],
        rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.down_proj": 6}, alpha_pattern={"v_proj": 3})),
    "bias-all": ("gpt2", dict(target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, bias="all")),
    "bias-lora": ("qwen2", dict(target_modules=["q_proj", "k_proj", "up_proj"], bias="lora_only")),
    "bias-saved": ("qwen2", dict(target_modules=["q_proj"], modules_to_save=["v_proj"], bias="all")),
    "lora-bias": ("qwen2", dict(target_modules=["q_proj", "v_proj"], lora_bias=True)),
    "dora": ("default", dict(use_dora=True)),
    "dora-some": ("qwen2", dict(use_dora=True, target_modules=["q_proj", "v_proj", "gate_proj", "o_proj"], bias="all",
                                modules_to_save=["up_proj"])),
    "dora-gpt2": ("gpt2", dict(use_dora=True, fan_in_fan_out=True)),
    "layers": ("default", dict(target_modules=["q_proj", "v_proj", "up_proj"], layers_to_transform=[1], layers_pattern="layers")),
}


def base_model(name):
    if name in make.FAMILIES:
        family, options = make.FAMILIES[name]
        return make.make_model(getattr(transformers, family + "Config")(**options))
    return make.make_model(transformers.LlamaConfig(**{**make.BASE, **make.CASES[name]}))


def file_name(parameter):
    """What peft's file calls a parameter."""
    for part, other in ((".modules_to_save.default.", "."), (".lora_magnitude_vector.default.weight", ".lora_magnitude_vector"),
                        (".default.", ".")):
        parameter = parameter.replace(part, other)
    return parameter


def adapt(name):
    """The base with the adapter, all of which differs from where it starts."""
    base, options = CASES[name]
    model = make.attach_lora(base_model(base), **options)
    generator = torch.Generator().manual_seed(13)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_A" not in parameter_name and "lora_B.default.weight" not in parameter_name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def make_case(name, folder):
    model = adapt(name)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    examples = make.make_examples(3, make.LENGTHS)
    tensors = make.expectations(model, examples)
    grads = {file_name(n): p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    tensors = {n: t for n, t in tensors.items() if not n.startswith("grad.")} | {"grad." + n: g for n, g in grads.items()}
    make.save_file(tensors, folder / "expected.safetensors")
    prompt = examples[1]["tokens"]
    make.write_json(folder / "expected.json", dict(base=CASES[name][0], examples=examples, prompt=prompt,
                                                   greedy=make.greedy(model, prompt, 16)))
    batches = [make.make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    make.write_json(folder / "training.json", make.train(adapt(name), batches))


def make_peft(output):
    for name in CASES:
        (output / "peft" / name).mkdir(parents=True)
        make_case(name, output / "peft" / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests/fixtures/model")
    arguments = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    shutil.rmtree(arguments.output / "peft", ignore_errors=True)
    make_peft(arguments.output)


if __name__ == "__main__":
    main()
