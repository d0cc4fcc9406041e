#!/usr/bin/env python3
"""What transformers and trl make of the rows that people have: tests/fixtures/rows/expected.json.

usage: make_fixtures.py            writes it
       make_fixtures.py --compare  changes nothing; exit 1 when it is not what is made now

rows.jsonl, beside this file, has a row a line and the chat templates of trl to try it with. Each is converted and tokenized
as trl's SFTTrainer does (1.16.0, sft_trainer.py), except that ShareGPT's human and gpt become user and assistant. Targets:
the assistant's mask where the template has generation tags; the completion of a pair; else each assistant turn, by trl's
rule for a completion. Qwen3's own template, which prints earlier turns without the <think> of the last one, gets such tags for
that here. The tokenizer is the small one of tests/fixtures/text.
"""

import argparse
import json
import pathlib
import sys

import transformers
import trl
from trl.data_utils import common_prefix_length, is_conversational_from_value, maybe_convert_to_chatml
from trl.chat_template_utils import has_generation_markers

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROWS = pathlib.Path(__file__).parent / "rows.jsonl"
EXPECTED = ROOT / "tests/fixtures/rows/expected.json"
PINNED = {"transformers": "5.24.0", "trl": "1.16.0"}
SPEAKERS = {"human": "user", "gpt": "assistant"}


def convert(row):
    if is_conversational_from_value(row):
        row = maybe_convert_to_chatml(row)
        for message in row["messages"]:
            message["role"] = SPEAKERS.get(message["role"], message["role"])
    if isinstance(row.get("tools"), str):
        row["tools"] = json.loads(row["tools"])
    return row


def marked(name, template):
    """The template with generation tags, if it has them or this function knows where they go."""
    if name != "qwen3":
        return template
    role, choice, end = "'<|im_start|>' + message.role + '\\n", "{%- if loop.index0 > ns.last_query_index %}", "{{- '<|im_end|>\\n' }}\n    {%- elif message.role == \"tool\" %}"
    for part, count in ((role + "<think>", 1), (role + "' + content }}", 2), (choice, 1), (end, 1)):
        if template.count(part) != count:
            raise SystemExit("Qwen3's template is not the one this script knows how to mark")
    return (template.replace(role + "<think>", "'<think>").replace(role + "' + content }}", "content }}")
            .replace(choice, "{{- " + role + "' }}{%- generation %}" + choice)
            .replace(end, end.replace(" }}", " }}{%- endgeneration %}", 1)))


def tokenize(tokenizer, template, tags, row):
    """(text, ids, targets) of one row; tags: the template with generation tags, if there is one."""

    def ids_of(messages, prompt=False):
        return tokenizer.apply_chat_template(
            messages, tools=row.get("tools"), chat_template=template, add_generation_prompt=prompt, return_dict=False)

    messages = row["prompt"] + row["completion"] if "prompt" in row else row["messages"]
    text = tokenizer.apply_chat_template(messages, tools=row.get("tools"), chat_template=template, tokenize=False)
    ids = ids_of(messages)
    if "prompt" in row:
        start = common_prefix_length(ids_of(row["prompt"], prompt=True), ids)
        targets = [0] * start + [1] * (len(ids) - start)
    elif has_generation_markers(tags):
        masked = tokenizer.apply_chat_template(messages, tools=row.get("tools"), chat_template=tags, return_dict=True,
                                               return_assistant_tokens_mask=True)
        if masked["input_ids"] != ids:
            raise SystemExit(f"the tags change what is printed of {row}")
        targets = list(masked["assistant_masks"])
    else:
        targets = [0] * len(ids)
        for turn, message in enumerate(messages):
            if message["role"] == "assistant":
                start = common_prefix_length(ids_of(messages[:turn], prompt=True), ids)
                end = common_prefix_length(ids_of(messages[: turn + 1]), ids)
                targets[start:end] = [1] * (end - start)
    targets[0] = 0  # nothing stands before the first token
    if 1 not in targets:
        raise SystemExit(f"nothing is learned of {row}")
    return text, ids, targets


def make():
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "tests/fixtures/text/small")
    folder = pathlib.Path(trl.__file__).parent / "chat_templates"
    templates, cases = {}, []
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name in entry["templates"]:
            source = templates.setdefault(name, (folder / f"{name}.jinja").read_text(encoding="utf-8"))
            text, ids, targets = tokenize(tokenizer, source, marked(name, source), convert(json.loads(line)["row"]))
            cases.append({"template": name, "row": entry["row"], "text": text, "ids": ids, "targets": targets})
    return {"templates": templates, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    for module in (transformers, trl):
        if module.__version__ != PINNED[module.__name__]:
            raise SystemExit(f"{module.__name__} is {module.__version__}, not {PINNED[module.__name__]}")
    made = make()
    if options.compare:
        same = json.loads(EXPECTED.read_text(encoding="utf-8")) == made
        print(f"{EXPECTED.name}: {len(made['cases'])} references,", "the same" if same else "they differ")
        sys.exit(0 if same else 1)
    cases = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in made["cases"])
    templates = json.dumps(made["templates"], ensure_ascii=False, indent=1)
    EXPECTED.write_text(f'{{"templates": {templates},\n"cases": [\n{cases}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
