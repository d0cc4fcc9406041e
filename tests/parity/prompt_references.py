"""Prompts that peft tunes (PROMPT_TUNING), with what each makes of its base: logits, gradients, 20 steps of training.

make_references.py makes them with the rest. FOLDER/CASE is an adapter as peft saves it, on the base that its expected.json names,
with the expectations of README.md; the batches and options of its training.json are those of FOLDER/../training.json. start.safetensors
is what peft starts a prompt as from a text (TEXT), whose tokens are `start` of expected.json.
"""

import peft
import torch
import transformers

import make_references as make
from peft_references import base_model
from pinned import ROOT

# By the base: rotary, learned and windowed positions, tied embeddings, embeddings that are scaled.
CASES = {"llama": "default", "gpt2": "gpt2", "qwen2": "qwen2", "gemma2": "gemma2", "gemma3": "gemma3"}
ROWS = 5
TEXT = "#$%"
TOKENIZER = ROOT / "tests/fixtures/text/small"


def config(**changes):
    return peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=ROWS, **changes)


def adapt(name):
    torch.manual_seed(11)
    return peft.get_peft_model(base_model(CASES[name]), config(prompt_tuning_init="RANDOM")).eval()


def start(name):
    """The rows of a new prompt that starts from TEXT, and the tokens of that."""
    model = peft.get_peft_model(base_model(CASES[name]), config(
        prompt_tuning_init="TEXT", prompt_tuning_init_text=TEXT, tokenizer_name_or_path=str(TOKENIZER)))
    tokens = transformers.AutoTokenizer.from_pretrained(TOKENIZER)(TEXT).input_ids
    return model.prompt_encoder["default"].embedding.weight.detach().clone(), tokens


def greedy(model, prompt, count):
    """Token by token through peft's forward. Its generate of these versions puts the prompt before each new token again: it looks
    for the cache under the name that transformers had for it before."""
    tokens = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            tokens.append(model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax().item())
    return tokens[len(prompt):]


def write_prompt(folder, model, examples, **more):
    """As make.write_expected; more: of expected.json."""
    tensors = make.expectations(model, examples)
    tensors["grad.prompt_embeddings"] = tensors.pop("grad.prompt_encoder.embedding.weight")
    make.save_file(tensors, folder / "expected.safetensors")
    prompt = examples[1]["tokens"]
    make.write_json(folder / "expected.json", dict(examples=examples, prompt=prompt, greedy=greedy(model, prompt, 32), **more))


def make_case(name, folder):
    model = adapt(name)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    rows, tokens = start(name)
    make.save_file({"start": rows}, folder / "start.safetensors")
    write_prompt(folder, model, make.make_examples(3, make.LENGTHS), base=CASES[name], start=tokens)
    batches = [make.make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    make.write_json(folder / "training.json", make.train(adapt(name), batches))


def make_prompt(output):
    for name in CASES:
        (output / "prompt" / name).mkdir(parents=True)
        make_case(name, output / "prompt" / name)
