#!/usr/bin/env python3
"""What tools/gpu-check compares with: transformers and peft on the same GPU. Prints one JSON object.

    reference.py adapter BASE FOLDER            writes a random LoRA adapter of rank 8 (B not zero) for BASE
    reference.py train BASE ROWS ... [--adapter FOLDER]
                                                losses of steps over all rows of ROWS at once, one step after the other
    reference.py model FOLDER TOKENIZER_FOLDER  writes a random model of the shape of Llama-3.2-1B, in bfloat16
    reference.py speed MODEL ...                tokens per second of whole sequences of random tokens
    reference.py hold BYTES                     takes the GPU's memory but for so many bytes, until its input ends
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

GPU = torch.device("cuda")


def load(path, dtype):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="sdpa").to(GPU)


def lora_config(rank):
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")


def optimizer_step(model, optimizer):
    """As a job with its defaults: gradients clipped to 1, AdamW without decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def adamw(model, rate):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0, fused=True)


def write_adapter(args):
    from peft import get_peft_model

    torch.manual_seed(7)
    model = get_peft_model(load(args.base, torch.float32), lora_config(8))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02)
    model.save_pretrained(args.folder)
    return {"adapter": args.folder}


def train(args):
    """The sum of losses over the step's targets. Padding comes after an example, where it attends to what it likes."""
    from peft import PeftModel
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.base)
    rows = [json.loads(line)["text"] + tokenizer.eos_token for line in open(args.rows)]
    examples = [tokenizer(row, add_special_tokens=True)["input_ids"] for row in rows]
    longest = max(map(len, examples))
    tokens = torch.tensor([x + [0] * (longest - len(x)) for x in examples], device=GPU)
    labels = torch.tensor([x[1:] + [-100] * (longest - len(x)) for x in examples], device=GPU)
    targets = int((labels >= 0).sum())
    model = load(args.base, torch.float32)
    if args.adapter:
        model = PeftModel.from_pretrained(model, args.adapter, is_trainable=True)
    model.train()
    optimizer = adamw(model, args.rate)
    losses, norms = [], []
    for _ in range(args.steps):
        with torch.autocast("cuda", torch.bfloat16, enabled=args.precision == "bfloat16"):
            logits = model(input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels.flatten(),
                                                 reduction="sum") / targets
        loss.backward()
        losses.append(loss.item())
        norms.append(float(optimizer_step(model, optimizer)))
    return {"losses": losses, "norms": norms, "targets": targets}


def write_model(args):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    torch.set_default_dtype(torch.bfloat16)
    config = LlamaConfig(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
                         num_key_value_heads=8, head_dim=64, vocab_size=128256, max_position_embeddings=8192,
                         rope_theta=500000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=256,
                         eos_token_id=258)
    with torch.device(GPU):
        model = LlamaForCausalLM(config)
    model.save_pretrained(args.folder)
    AutoTokenizer.from_pretrained(args.tokenizer).save_pretrained(args.folder)
    return {"parameters": sum(p.numel() for p in model.parameters())}


def speed(args):
    """As TRL trains: full in float32 under autocast, LoRA beside a bfloat16 base; SDPA takes flash attention."""
    from peft import get_peft_model

    full = args.method == "full"
    model = load(args.base, torch.float32 if full else torch.bfloat16)
    if not full:
        model = get_peft_model(model, lora_config(16))
    model.train()
    optimizer = adamw(model, 2e-5)
    micro_batches = args.global_batch // args.micro_batch
    generator = torch.Generator(device=GPU).manual_seed(1)
    seconds = []
    for _ in range(args.steps):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(micro_batches):
            x = torch.randint(0, 256, (args.micro_batch, args.length), device=GPU, generator=generator)
            with torch.autocast("cuda", torch.bfloat16):
                loss = model(input_ids=x, labels=x).loss / micro_batches
            loss.backward()
        optimizer_step(model, optimizer)
        loss.item()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    rest = sorted(seconds[2:])
    median = rest[len(rest) // 2]
    return {"tokens_per_second": args.global_batch * args.length / median, "seconds": seconds,
            "peak_bytes": torch.cuda.max_memory_reserved()}


def hold(args):
    free, _ = torch.cuda.mem_get_info()
    kept = torch.empty(max(0, free - args.bytes), dtype=torch.uint8, device=GPU)
    print(json.dumps({"held": kept.numel()}), flush=True)
    sys.stdin.read()
    return {"held": 0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, run, *positional):
        sub = commands.add_parser(name)
        sub.set_defaults(run=run)
        for argument in positional:
            sub.add_argument(argument)
        return sub

    command("adapter", write_adapter, "base", "folder")
    one = command("train", train, "base", "rows")
    one.add_argument("--adapter")
    one.add_argument("--precision", default="float32")
    one.add_argument("--steps", type=int, default=20)
    one.add_argument("--rate", type=float, default=1e-3)
    command("model", write_model, "folder", "tokenizer")
    one = command("speed", speed, "base")
    one.add_argument("--method", choices=["lora", "full"], required=True)
    one.add_argument("--length", type=int, default=2048)
    one.add_argument("--global-batch", type=int, default=8)
    one.add_argument("--micro-batch", type=int, default=4)
    one.add_argument("--steps", type=int, default=8)
    one = command("hold", hold)
    one.add_argument("bytes", type=int)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    print(json.dumps(args.run(args)))


if __name__ == "__main__":
    main()
