#!/usr/bin/env python3
"""The peer of tools/bench data: the same preparation with datasets, transformers and trl.

Runs in the reference environment (tests/parity/requirements.txt). Loads JSONL rows, drops exact duplicates, tokenizes prompts and
completions as trl's SFTTrainer does, and packs them with trl's best-fit decreasing. Prints one JSON object: seconds of each stage,
rows, sequences, tokens and fill.
"""

import argparse
import hashlib
import json
import os
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hf", required=True, help="folder of the tokenizer")
    parser.add_argument("--data", required=True, help="JSONL of prompt and completion")
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()

    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl.data_utils import pack_dataset

    times, last = {}, time.time()

    def lap(stage):
        nonlocal last
        now = time.time()
        times[stage], last = now - last, now

    rows = load_dataset("json", data_files=args.data, split="train")
    lap("load")

    seen = set()

    def is_new(row):
        key = hashlib.sha256((row["prompt"] + "\0" + row["completion"]).encode()).digest()[:16]
        if key in seen:
            return False
        seen.add(key)
        return True

    rows = rows.filter(is_new)
    lap("dedupe")

    tokenizer = AutoTokenizer.from_pretrained(args.hf)
    length = args.sequence_length

    def tokenize(row):
        prompt = tokenizer(text=row["prompt"])["input_ids"]
        whole = tokenizer(text=row["prompt"] + row["completion"] + tokenizer.eos_token)["input_ids"]
        mask = [0] * len(prompt) + [1] * (len(whole) - len(prompt))
        return {"input_ids": whole[:length], "completion_mask": mask[:length]}

    rows = rows.map(tokenize, remove_columns=rows.column_names, num_proc=args.processes)
    lap("tokenize")

    kept = len(rows)
    last = time.time()
    packed = pack_dataset(rows, length, strategy="bfd")
    lap("pack")
    tokens = sum(sum(chunk.value_lengths().to_pylist()) for chunk in packed.data.column("input_ids").chunks)
    print(json.dumps({"seconds": times, "rows": kept, "sequences": len(packed), "tokens": tokens,
                      "fill": tokens / (len(packed) * length)}))


if __name__ == "__main__":
    main()
