#!/usr/bin/env python3
"""Makes the reference files that tests/unit/formats compares with.

    make_fixtures.py [--compare]

--compare makes them afresh in a
temporary folder and fails where one differs from the committed file.
"""

import argparse
import hashlib
import json
import pathlib
import sys
import tempfile

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file as save_torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from pinned import SMOLLM2, check_versions  # noqa: E402

# Where the blocks of a type keep their float16 numbers.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}


def random_blocks(random, kind, elements):
    """Any bits are a valid block; the scales are chosen so that no infinity or NaN comes out."""
    per_block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (elements // per_block, size), dtype=np.uint8)
    for at in HALVES[kind]:
        scale = random.normal(0, 0.1, len(blocks)).astype(np.float16)
        scale[:2] = [6e-8, -0.0]  # a subnormal and a negative zero
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return blocks


def quants(folder):
    """Every supported type: the file, and what gguf-py makes of it."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(folder / "quants.gguf", "test")
    expected = {}
    for kind in HALVES:
        data = random_blocks(random, kind, 1024).reshape(2, -1)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = gguf.dequantize(data, kind).astype(np.float32)
    for kind, dtype in ((Type.F32, np.float32), (Type.F16, np.float16), (Type.F64, np.float64)):
        data = random.normal(0, 1, (2, 8)).astype(dtype)
        data[0, :4] = [6e-8, -0.0, np.inf, 65504]
        writer.add_tensor(kind.name, data)
        expected[kind.name] = data.astype(np.float32)
    bits = random.integers(0, 0x7f00, (2, 8), dtype=np.uint16)
    writer.add_tensor("BF16", bits.view(np.uint8), raw_dtype=Type.BF16)
    expected["BF16"] = (bits.astype(np.uint32) << 16).view(np.float32)
    close(writer)
    save_numpy(expected, folder / "quants.safetensors")


def close(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_llama(path, tied, scaling):
    """A tiny Llama as llama.cpp's converter would write it; grouped-query attention, q and k quantised."""
    random = np.random.default_rng(2)
    hidden, inner, layers, heads, kv_heads, vocabulary = 64, 96, 2, 4, 2, 40
    head = hidden // heads
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0)
    writer.add_rope_dimension_count(head)
    if scaling:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(64)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(vocabulary)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(3)

    def add(name, *shape, kind=Type.F32):
        data = random.normal(0, 0.1, shape).astype(np.float32)
        if kind == Type.F32:
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)

    add("token_embd.weight", vocabulary, hidden, kind=Type.Q8_0)
    add("output_norm.weight", hidden)
    if not tied:
        add("output.weight", vocabulary, hidden, kind=Type.F16)
        writer.add_tensor("rope_freqs.weight", np.ones(head // 2, np.float32))
    for i in range(layers):
        add(f"blk.{i}.attn_q.weight", hidden, hidden, kind=Type.Q4_0)
        add(f"blk.{i}.attn_k.weight", kv_heads * head, hidden, kind=Type.Q5_1)
        add(f"blk.{i}.attn_v.weight", kv_heads * head, hidden, kind=Type.Q4_1)
        add(f"blk.{i}.attn_output.weight", hidden, hidden, kind=Type.BF16)
        add(f"blk.{i}.attn_norm.weight", hidden)
        add(f"blk.{i}.ffn_norm.weight", hidden)
        add(f"blk.{i}.ffn_gate.weight", inner, hidden, kind=Type.Q8_0)
        add(f"blk.{i}.ffn_up.weight", inner, hidden, kind=Type.Q5_0)
        add(f"blk.{i}.ffn_down.weight", hidden, inner, kind=Type.Q8_0)
        if not tied:
            for name, rows in (("q", hidden), ("k", kv_heads * head), ("v", kv_heads * head)):
                add(f"blk.{i}.attn_{name}.bias", rows)
            add(f"blk.{i}.attn_output.bias", hidden)
    close(writer)


def load_llama(path, biases):
    """Configuration and tensors as transformers derives them."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
    config = load_gguf_checkpoint(str(path))["config"]
    config.pop("_model_name_or_path", None)
    full = LlamaConfig(**config, attention_bias=biases)
    with torch.device("meta"):
        model = LlamaForCausalLM(full)
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    return config, {name: tensor.float().contiguous() for name, tensor in tensors.items()}


def llamas(folder):
    for name, tied, scaling in (("llama_tied", True, True), ("llama_untied", False, False)):
        path = folder / f"{name}.gguf"
        write_llama(path, tied, scaling)
        config, tensors = load_llama(path, biases=not tied)
        save_torch(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
        (folder / f"{name}.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def mixed(folder):
    """Every dtype that is read as weights, and some that are not, as the safetensors package lays them out."""
    generator = torch.Generator().manual_seed(3)
    value = torch.randn(3, 5, generator=generator)
    tensors = {
        "f32": value, "b.f16": value.half(), "a.bf16": value.bfloat16(), "f64": value.double(),
        "i64": torch.arange(4), "i32": torch.arange(3, dtype=torch.int32), "u8": torch.tensor([7], dtype=torch.uint8),
        "scalar": torch.tensor(1.5), "empty": torch.zeros(0, 4),
    }
    save_torch(tensors, folder / "mixed.safetensors", metadata={"format": "pt"})
    save_torch({name: tensors[name].float() for name in ("f32", "b.f16", "a.bf16", "f64", "scalar", "empty")},
               folder / "mixed_float.safetensors", metadata={"format": "pt"})


def smollm2(folder):
    """One checksum over all float32 weights of the real model, by name."""
    config, tensors = load_llama(SMOLLM2, biases=False)
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].numpy().tobytes())
    text = json.dumps({"config": config, "tensors": len(tensors), "sha256": total.hexdigest()}, indent=1)
    (folder / "smollm2.json").write_text(text + "\n")


def make(folder):
    quants(folder)
    llamas(folder)
    mixed(folder)
    smollm2(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", action="store_true")
    committed = HERE / "fixtures"
    check_versions()
    if not parser.parse_args().compare:
        committed.mkdir(exist_ok=True)
        make(committed)
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = pathlib.Path(folder)
        make(fresh)
        names = sorted({path.name for path in [*fresh.iterdir(), *committed.iterdir()]})
        for name in names:
            pair = [fresh / name, committed / name]
            if not all(path.exists() for path in pair) or pair[0].read_bytes() != pair[1].read_bytes():
                sys.exit(f"fixtures/{name} is not what this script makes")
        print(f"{len(names)} fixtures of the formats are as the references make them")


if __name__ == "__main__":
    main()
