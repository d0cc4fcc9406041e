#!/usr/bin/env python3
"""The peer of tools/bench: the same fine-tuning with transformers, peft and trl.

Runs in the reference environment (tests/parity/requirements.txt); with torchrun for several ranks. Prints one
JSON object: tokens per second over the measured steps, peak resident memory of a process, seconds from the
start of the program to the end of the first step.
"""

import time

PROGRAM_START = time.time()

import argparse
import json
import os
import resource

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", required=True, help="the model's GGUF file")
    parser.add_argument("--hf", required=True, help="folder for its Hugging Face form, made when absent")
    parser.add_argument("--data", required=True, help="JSONL of messages")
    parser.add_argument("--method", choices=["lora", "full"], required=True)
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2, help="steps that are not measured")
    parser.add_argument("--global-batch", type=int, default=2)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", required=True, help="folder for what the trainer writes")
    return parser.parse_args()


def huggingface_folder(gguf, folder):
    """transformers dequantises the GGUF file; done once, so that the timed run loads safetensors."""
    if os.path.exists(os.path.join(folder, "model.safetensors")):
        return
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where, name = os.path.split(gguf)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=name, quantization_config=GgufConfig(dequantize=True)
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.float().save_pretrained(folder)


def main():
    args = arguments()
    import torch

    torch.set_num_threads(args.threads)
    huggingface_folder(args.gguf, args.hf)
    start = time.time() if os.environ.get("ATTUNE_BENCH_WARM") else PROGRAM_START

    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Times(TrainerCallback):
        begins, ends = [], []

        def on_step_begin(self, *unused, **also_unused):
            Times.begins.append(time.time())

        def on_step_end(self, *unused, **also_unused):
            Times.ends.append(time.time())

    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    config = SFTConfig(
        output_dir=args.output, max_length=args.sequence_length, packing=True,
        per_device_train_batch_size=1, gradient_accumulation_steps=args.global_batch // ranks,
        max_steps=args.steps, learning_rate=2e-4, lr_scheduler_type="cosine", seed=1, use_cpu=True,
        bf16=False, gradient_checkpointing=False, save_strategy="no", report_to=[], logging_steps=1,
        disable_tqdm=True, dataloader_pin_memory=False, ddp_backend="gloo" if ranks > 1 else None,
    )
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear")
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(args.hf, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(args.hf),
        args=config, callbacks=[Times()], peft_config=lora if args.method == "lora" else None,
        train_dataset=load_dataset("json", data_files=args.data, split="train"),
    )
    trainer.train()
    measured = Times.ends[-1] - Times.ends[args.warmup - 1]
    tokens = (args.steps - args.warmup) * args.global_batch * args.sequence_length
    if int(os.environ.get("RANK", "0")) == 0:
        print(json.dumps({
            "tokens_per_second": tokens / measured,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "first_step_seconds": Times.ends[0] - start,
            "before_step_seconds": Times.begins[0] - start,
            "ranks": ranks, "threads": args.threads, "method": args.method,
        }))


if __name__ == "__main__":
    main()
