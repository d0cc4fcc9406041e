#!/usr/bin/env python3
"""Reference token ids, chat renderings and loss masks, made by Hugging Face's own code.

usage: make_text_reference.py OUT [--texts N] [--gguf FILE]

OUT gets one folder a tokenizer: `small` (a byte-level BPE trained here, so that the fixtures need no model), `spm`, `gpt-4o`
and `dbrx` (small GGUF files made here, as transformers reads them) and, with --gguf, `smollm2` (the tokenizer inside that
file). Each holds
  texts.jsonl   {"text", "ids", "special": ids with what the post-processor adds, "decoded": where it is not the text}
and the first and the last also
  chats.jsonl   {"messages", "add_generation_prompt", "text", "ids"}
  masks.jsonl   {"example", "ids", "targets"}: what trl's SFTTrainer trains on
and OUT/templates.json has chat templates and what they render.
Pinned: transformers 5.24.0, tokenizers 0.23.3, trl 1.16.0, jinja2 3.1.6.
"""

import argparse
import ast
import json
import pathlib
import random
import sysconfig

import gguf
import jinja2
import tokenizers
import transformers
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

PINNED = {"transformers": "5.24.0", "tokenizers": "0.23.3", "trl": "1.16.0", "jinja2": "3.1.6"}
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Cases that real texts seldom have.
CURIOUS = [
    "", " ", "\n", "  12  345\t6", "\r\n\r\n  x", "naïve café — “quoted” …", "日本語のテキスト、中文字符。", "العربية والعبرية עברית",
    "👩‍👩‍👧‍👦 🏳️‍🌈 é à́̂", "<|im_start|>user\nhi<|im_end|>", "<|im_start|", "a<|endoftext|>b", "\u200b\ufeff\u00a0x\u3000y",
    "I'll we've DON'T it's", "x=1;y=22;z=333;1234567890", "def f(x):\n    return x**2 # ²³½", "\x00\x01\x7f", "a" * 300, "\t\t\t  \n \n",
]


def check_versions():
    for module in (transformers, tokenizers, trl, jinja2):
        wanted = PINNED[module.__name__]
        if module.__version__ != wanted:
            raise SystemExit(f"{module.__name__} is {module.__version__}, the references are made by {wanted}")


def stdlib_texts(count):
    """Docstrings, and functions and classes with their code, of Python's standard library; distinct ones, in a fixed order."""
    found = {}
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree, lines = ast.parse(source), source.splitlines(keepends=True)
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
                continue
            if docstring := ast.get_docstring(node):
                found.setdefault(docstring[:4000])
            if not isinstance(node, ast.Module):
                found.setdefault("".join(lines[node.lineno - 1 : node.end_lineno])[:4000])
    found.pop("", None)
    texts = list(found)
    random.Random(1).shuffle(texts)
    if count > len(texts):
        raise SystemExit(f"the standard library has {len(texts)} texts, {count} were asked for")
    return texts[:count]


def small_tokenizer(folder):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(stdlib_texts(2000), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def sentencepiece_vocabulary():
    """Tokens, scores and types as a SentencePiece BPE model of Llama's kind has them; no merges."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.train_from_iterator(stdlib_texts(2000), trainers.BpeTrainer(vocab_size=500, show_progress=False))
    merged = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    letters = [token for token, _ in merged if len(token) == 1]
    pieces = [token for token, _ in merged if len(token) > 1] + letters
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + pieces
    types = [2, 3, 3] + [6] * 256 + [1] * len(pieces)
    return tokens, [0.0] * 259 + [-float(rank) for rank in range(len(pieces))], types


def write_gguf(path, model, pre, tokens, types, scores=None, merges=None, special=(1, 2, 0)):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores:
        writer.add_token_scores(scores)
    if merges:
        writer.add_token_merges(merges)
    writer.add_bos_token_id(special[0])
    writer.add_eos_token_id(special[1])
    writer.add_unk_token_id(special[2])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def small_gguf(name, folder, small):
    """The small tokenizer's vocabulary with another split, or the SentencePiece one."""
    path = folder / "model.gguf"
    if name == "spm":
        tokens, scores, types = sentencepiece_vocabulary()
        write_gguf(path, "llama", None, tokens, types, scores)
    else:
        parts = json.loads((small / "tokenizer.json").read_text())["model"]
        tokens = sorted(parts["vocab"], key=parts["vocab"].get)
        write_gguf(path, "gpt2", name, tokens, [3, 3, 3] + [1] * (len(tokens) - 3), merges=[" ".join(m) for m in parts["merges"]])
    return AutoTokenizer.from_pretrained(folder, gguf_file=path.name)


def gguf_tokenizer(path):
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # transformers has no entry for tokenizer.ggml.pre "smollm" and takes GPT-2's split. The model was trained, and llama.cpp
    # runs it, with single digits split off first; ids differ only where spaces stand before a digit.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def conversations(texts):
    """Chats of one to three turns, with and without a system message."""
    chats = []
    for i in range(0, len(texts) - 6, 7):
        system, *rest = texts[i : i + 7]
        messages = [{"role": "system", "content": system[:200]}] if i % 2 else []
        for turn in range(1 + i % 3):
            messages.append({"role": "user", "content": rest[2 * turn]})
            messages.append({"role": "assistant", "content": rest[2 * turn + 1]})
        chats.append(messages)
    return chats


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_texts(folder, tokenizer, texts):
    rows = []
    for text in CURIOUS + texts:
        rows.append({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False)})
        decoded = tokenizer.decode(rows[-1]["ids"])
        if decoded != text:
            rows[-1]["decoded"] = decoded
        special = tokenizer.encode(text)
        if special != rows[-1]["ids"]:
            rows[-1]["special"] = special
    write(folder / "texts.jsonl", rows)


def write_chats(folder, tokenizer, chats):
    rows = []
    for number, messages in enumerate(chats):
        prompt = number % 2 == 0
        shown = messages[:-1] if prompt else messages
        rows.append({
            "messages": shown,
            "add_generation_prompt": prompt,
            "text": tokenizer.apply_chat_template(shown, add_generation_prompt=prompt, tokenize=False),
            "ids": tokenizer.apply_chat_template(shown, add_generation_prompt=prompt, return_dict=False),
        })
    write(folder / "chats.jsonl", rows)


def common_prefix(a, b):
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length


def trl_prompt_completion(tokenizer, prompt, completion):
    """trl's sft_trainer.py, `add_eos` and `tokenize_fn`, for plain texts."""
    if not completion.endswith(tokenizer.eos_token):
        completion += tokenizer.eos_token
    prompt_ids, ids = tokenizer(prompt)["input_ids"], tokenizer(prompt + completion)["input_ids"]
    return ids, common_prefix(prompt_ids, ids)


def generation_template(template):
    """The same template with the assistant's turn marked as transformers' assistant masks want it."""
    turn = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    if turn not in template:
        raise SystemExit("the chat template is not the one this script knows how to mark")
    marked = (
        "{% if message['role'] == 'assistant' %}{{'<|im_start|>assistant\n'}}{% generation %}"
        "{{message['content'] + '<|im_end|>' + '\n'}}{% endgeneration %}{% else %}" + turn + "{% endif %}"
    )
    return template.replace(turn, marked)


def write_masks(folder, tokenizer, texts, chats):
    rows = []
    marked = generation_template(tokenizer.chat_template)
    for messages in chats:
        out = tokenizer.apply_chat_template(
            messages, chat_template=marked, return_dict=True, return_assistant_tokens_mask=True)
        rows.append({"example": {"kind": "messages", "messages": messages}, "ids": out["input_ids"],
                     "targets": out["assistant_masks"]})
    for prompt, completion in zip(texts[0::2], texts[1::2]):
        ids, start = trl_prompt_completion(tokenizer, prompt, completion)
        rows.append({"example": {"kind": "prompt_completion", "prompt": prompt, "completion": completion}, "ids": ids,
                     "targets": [0] * start + [1] * (len(ids) - start)})
    for text in texts:
        ids = tokenizer(text if text.endswith(tokenizer.eos_token) else text + tokenizer.eos_token)["input_ids"]
        rows.append({"example": {"kind": "text", "text": text}, "ids": ids, "targets": [1] * len(ids)})
    for row in rows:
        row["targets"][0] = 0  # nothing stands before the first token
    write(folder / "masks.jsonl", rows)


def write_templates(path, small):
    """Every template that trl ships, and lines that try what templates use, rendered by transformers."""
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is <2+2> & \"why\"?"},
        {"role": "assistant", "content": "4, é😀."},
        {"role": "user", "content": "Sure?\n"},
    ]
    tools = [{"type": "function", "function": {"name": "add", "description": "Adds <a> & 'b' — é",
              "parameters": {"type": "object", "properties": {"a": {"type": "number", "default": 1.5}},
                             "required": ["a"], "big": 1e20, "small": 1e-7, "none": None, "flag": True, "empty": {}, "l": []}}}]
    called = chat[:2] + [{"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": [1.0, "x'y"], "c": None}}}]},
        {"role": "tool", "name": "add", "content": "4"}, {"role": "assistant", "content": "It is 4."}]
    sources = {file.name: file.read_text() for file in
               sorted((pathlib.Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))}
    sources.update(json.loads((pathlib.Path(__file__).parent / "template_lines.json").read_text()))
    cases = [
        {"messages": chat, "tools": None, "add_generation_prompt": True},
        {"messages": called, "tools": tools, "add_generation_prompt": False},
        {"messages": chat[1:3], "tools": None, "add_generation_prompt": False},
    ]
    rows = []
    for name, source in sources.items():
        if "strftime_now" in source or (small and len(source) > 4000):
            continue  # the date of the day; the size of the fixtures
        results = []
        for case in cases:
            try:
                rendered, _ = render_jinja_template(
                    [case["messages"]], tools=case["tools"], chat_template=source, bos_token="<s>", eos_token="</s>",
                    add_generation_prompt=case["add_generation_prompt"])
                results.append({"text": rendered[0]})
            except Exception as error:  # that a template raises is part of the reference
                results.append({"error": str(error)})
        rows.append({"name": name, "template": source, "results": results})
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps({"cases": cases, "templates": rows}, ensure_ascii=False, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=110)
    parser.add_argument("--gguf", type=pathlib.Path)
    options = parser.parse_args()
    check_versions()
    texts = stdlib_texts(options.texts)
    makers = {"small": small_tokenizer}
    if options.gguf:
        makers["smollm2"] = lambda _: gguf_tokenizer(options.gguf)
    for name, maker in makers.items():
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = maker(folder)
        chats = conversations([text[:600] for text in texts])
        write_texts(folder, tokenizer, texts)
        write_chats(folder, tokenizer, chats)
        write_masks(folder, tokenizer, [text[:300] for text in texts[: len(texts) // 5]], chats)
    for name in ("spm", "gpt-4o", "dbrx"):
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_texts(folder, small_gguf(name, folder, options.out / "small"), texts[: max(30, len(texts) // 5)])
    write_templates(options.out / "templates.json", options.texts <= 200)


if __name__ == "__main__":
    main()
