#!/usr/bin/env python3
"""What trl's SFTTrainer makes of rows on their way to the model: tests/fixtures/packing/expected.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

Each case is a data set of rows of one shape: completions, completions of messages with tools, assistant turns of a template with
generation tags and tools, texts. SFTTrainer tokenizes, masks and packs it (best-fit decreasing), and its collator makes one
batch of all packed sequences. Recorded are the rows, the lengths of the examples in each sequence, and of the batch
input_ids, position_ids and labels. The tokenizer is the small one of tests/fixtures/text.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import datasets
import transformers
import trl

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from pinned import ROOT, check_versions  # noqa: E402

EXPECTED = ROOT / "tests/fixtures/packing/expected.json"
TEXTS = ROOT / "tests/fixtures/text/small/texts.jsonl"
LENGTH, LENGTH_WITH_TEMPLATE = 256, 2048  # so that some examples are cut, and several share a sequence
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather <now> & here — é", "parameters": {
    "type": "object", "properties": {"unit": {"type": "string"}, "city": {"type": "string"}}, "required": ["city"]}}}


def real_texts():
    texts = [json.loads(line)["text"] for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    return [text for text in texts if 20 < len(text) < 1500]


def called(question, answer):
    """A conversation in which a tool is called; arguments as transformers' templates take them."""
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [
            {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "unit": "C"}}}]},
        {"role": "tool", "content": "21"},
        {"role": "assistant", "content": answer},
    ]


def rows_of(texts):
    """By the case's name: the rows, the name of trl's template, what SFTConfig says besides."""
    pairs = list(zip(texts[0::2], texts[1::2]))
    chats = [called(a[:200], b[:300]) for a, b in pairs[:12]]
    chats += [[{"role": "system", "content": a[:80]}, {"role": "user", "content": a[80:300]},
               {"role": "assistant", "content": b[:400]}] for a, b in pairs[12:30]]
    return {
        "completion": ([{"prompt": a[: len(a) // 2], "completion": a[len(a) // 2 :]} for a in texts[:40]],
                       None, {"completion_only_loss": True}),
        "completion with tools": ([{"prompt": chat[:-1], "completion": chat[-1:], "tools": [TOOL]} for chat in chats],
                                  "qwen2_5", {"completion_only_loss": True}),
        "assistant with tools": ([{"messages": chat, "tools": [TOOL]} for chat in chats],
                                 "qwen2_5_training", {"assistant_only_loss": True}),
        "text": ([{"text": a[:600]} for a in texts[40:70]], None, {}),
    }


def template_of(name):
    folder = pathlib.Path(trl.__file__).parent / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def run(rows, template, length, options):
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "tests/fixtures/text/small")
    if template:
        tokenizer.chat_template = template_of(template)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))
    with tempfile.TemporaryDirectory() as folder:
        config = trl.SFTConfig(output_dir=folder, packing=True, packing_strategy="bfd", max_length=length, use_cpu=True,
                               bf16=False, report_to="none", **options)
        data = datasets.Dataset.from_list(rows)
        trainer = trl.SFTTrainer(model, config, train_dataset=data, processing_class=tokenizer)
        packed = list(trainer.train_dataset)
        batch = trainer.data_collator(packed)
    return {"sequences": [list(map(int, sequence["seq_lengths"])) for sequence in packed],
            **{key: batch[key][0].tolist() for key in ("input_ids", "position_ids", "labels")}}


def make():
    cases = []
    for name, (rows, template, options) in rows_of(real_texts()).items():
        length = LENGTH_WITH_TEMPLATE if template else LENGTH
        cases.append({"name": name, "template": template_of(template) if template else None, "length": length,
                      "rows": rows, **run(rows, template, length, options)})
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    check_versions()
    made = make()
    if options.compare:
        same = json.loads(EXPECTED.read_text(encoding="utf-8")) == made
        print(f"{EXPECTED.name}: {len(made)} references,", "the same" if same else "they differ")
        sys.exit(0 if same else 1)
    EXPECTED.parent.mkdir(exist_ok=True)
    cases = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in made)
    EXPECTED.write_text(f"[\n{cases}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
