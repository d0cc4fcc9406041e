#!/usr/bin/env python3
"""Makes tests/fixtures/model from transformers and peft: see tests/parity/README.md.

usage: make_references.py [--output FOLDER] [--smollm2 FILE.gguf] [--only NAME ...] [--compare]
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import bitsandbytes
import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

from pinned import ROOT, SMOLLM2, check_versions

VOCABULARY = 96
LENGTHS = (40, 7, 23)

BASE = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32,
    rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
)
CASES = {
    "default": {},
    "tied-bias": dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                      num_key_value_heads=4),
    "head-dim": dict(head_dim=16, num_key_value_heads=1, rope_parameters=dict(
        rope_type="default", rope_theta=500.0)),
    "linear": dict(rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=2.5)),
    "dynamic": dict(rope_parameters=dict(rope_type="dynamic", rope_theta=1000.0, factor=3.0)),
    "llama3": dict(rope_parameters=dict(
        rope_type="llama3", rope_theta=1000.0, factor=8.0, low_freq_factor=1.0,
        high_freq_factor=4.0, original_max_position_embeddings=24)),
    "yarn": dict(rope_parameters=dict(
        rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=8)),
    "yarn-mscale": dict(rope_parameters=dict(
        rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=8,
        beta_fast=16.0, beta_slow=2.0, mscale=1.2, mscale_all_dim=0.7, truncate=False)),
}
# Of each family a small model, on examples longer than its window.
SHARED = dict(BASE, max_position_embeddings=64, head_dim=16)
GEMMA = dict(SHARED, sliding_window=8, query_pre_attn_scalar=24, num_hidden_layers=3)
FAMILIES = {
    "mistral": ("Mistral", dict(SHARED, sliding_window=8)),
    "qwen2": ("Qwen2", dict(BASE, max_position_embeddings=64, tie_word_embeddings=True)),
    "qwen2-window": ("Qwen2", dict(BASE, max_position_embeddings=64, use_sliding_window=True, sliding_window=8,
                                   max_window_layers=1)),
    "qwen3": ("Qwen3", dict(SHARED)),
    "gemma2": ("Gemma2", dict(GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
                              tie_word_embeddings=True)),
    "gemma3": ("Gemma3Text", dict(GEMMA, sliding_window_pattern=2, rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
        sliding_attention=dict(rope_type="default", rope_theta=100.0)))),
    "phi3": ("Phi3", dict(BASE, max_position_embeddings=64, pad_token_id=0, sliding_window=8)),
    "phi3-partial": ("Phi3", dict(BASE, max_position_embeddings=64, pad_token_id=0, hidden_size=64,
                                  rope_parameters=dict(rope_type="default", rope_theta=1000.0,
                                                       partial_rotary_factor=0.75))),
    "phi3-longrope": ("Phi3", dict(BASE, max_position_embeddings=64, pad_token_id=0,
                                   original_max_position_embeddings=16, rope_parameters=dict(
                                       rope_type="longrope", rope_theta=1000.0, short_factor=[1.0, 1.1, 1.3, 1.5],
                                       long_factor=[1.0, 2.0, 3.0, 4.5]))),
    "gpt2": ("GPT2", dict(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, n_inner=56,
                          bos_token_id=1, eos_token_id=2)),
}
# T5 v1.0 and v1.1, whose examples are longer than the farthest distance that has a bucket of its own.
T5 = dict(vocab_size=VOCABULARY, d_model=32, d_kv=12, d_ff=56, num_layers=3, num_decoder_layers=2, num_heads=4,
          relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=0)
T5_FAMILIES = {
    "t5": dict(T5),
    "flan-t5": dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
}
LORA = dict(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
TRAINING = dict(learning_rate=3e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.5,
                clip_norm=1.0, schedule="constant", seed=20)
REGULARIZE = {"l2-sp": 0.5, "ewc": 20.0}
PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "<|im_start|>user\nName three primary colours.<|im_end|>\n<|im_start|>assistant\n",
)


def make_model(config, kind=transformers.AutoModelForCausalLM):
    """A model with random weights that are large enough for attention and losses to be far from uniform."""
    generator = torch.Generator().manual_seed(7)
    # eager: the other attentions leave Gemma 2's cap of scores out
    make = kind.from_config if kind is transformers.AutoModelForCausalLM else kind._from_config
    model = make(config, attn_implementation="eager").float().eval()
    if not getattr(config, "scale_decoder_outputs", True):  # T5 v1.1's head is tied until another is loaded
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name.lower() or ".ln_" in name
            scale = 0.1 if is_norm or name.endswith("bias") else 0.25
            # T5 does not scale products, so that biases would drown, and steps would follow from rounding.
            if config.model_type == "t5":
                scale *= 4 if "relative_attention" in name else 0.1 if ".q." in name else 0.3 if "lm_head" in name else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if is_norm and not name.endswith("bias") and "gemma" not in config.model_type:
                parameter.add_(1.0)
    return model


def make_examples(seed, lengths, vocabulary=VOCABULARY):
    """Random tokens; a target is a token to be predicted from those before it, never the first."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for length in lengths:
        tokens = torch.randint(0, vocabulary, (length,), generator=generator)
        targets = (torch.rand(length, generator=generator) < 0.6).int()
        targets[0] = 0
        targets[-1] = 1
        examples.append(dict(tokens=tokens.tolist(), targets=targets.tolist()))
    return examples


def make_answers(seed, lengths):
    """Random sources and answers, of which every token is a target."""
    generator = torch.Generator().manual_seed(seed)
    return [dict(tokens=torch.randint(0, VOCABULARY, (source + answer,), generator=generator).tolist(),
                 targets=[0] * source + [1] * answer) for source, answer in lengths]


def forward_answer(model, example):
    """Of an encoder-decoder: logits of the answer [A, V], and the sum of negative log likelihoods."""
    tokens, source = torch.tensor(example["tokens"]), example["targets"].index(1)
    logits = model(input_ids=tokens[None, :source], labels=tokens[None, source:], use_cache=False).logits[0].float()
    return logits, torch.nn.functional.cross_entropy(logits, tokens[source:], reduction="sum")


def forward(model, example):
    """Logits [L, V] and the sum of negative log likelihoods of the targets."""
    if model.config.is_encoder_decoder:
        return forward_answer(model, example)
    inner = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    rotary = getattr(inner.base_model, "rotary_emb", None)
    if hasattr(rotary, "inv_freq"):  # dynamic scaling remembers earlier calls
        rotary.inv_freq = rotary.original_inv_freq.clone()
        rotary.max_seq_len_cached = rotary.original_max_seq_len
    tokens = torch.tensor(example["tokens"])
    logits = model(input_ids=tokens[None], use_cache=False).logits[0, -len(tokens):].float()  # behind a prompt
    targets = torch.tensor(example["targets"], dtype=torch.bool)[1:]
    loss = torch.nn.functional.cross_entropy(
        logits[:-1][targets], tokens[1:][targets], reduction="sum")
    return logits, loss


def expectations(model, examples):
    """What tests/parity/model compares: logits, the loss, and its gradient for each trainable parameter."""
    model.zero_grad()
    logits, total = [], 0.0
    for example in examples:
        example_logits, loss = forward(model, example)
        loss.backward()
        logits.append(example_logits.detach())
        total += loss.item()
    tensors = {"logits": torch.cat(logits), "loss": torch.tensor([total])}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors["grad." + name.replace(".default.", ".")] = parameter.grad.clone()
    return tensors


def greedy(model, prompt, count):
    tokens = torch.tensor([prompt])
    out = model.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, do_sample=False, eos_token_id=None,
                         pad_token_id=0)
    return out[0, 1 if model.config.is_encoder_decoder else len(prompt):].tolist()


def write_json(path, value):
    path.write_text(json.dumps(value, indent=None, separators=(",", ":")) + "\n")


def write_expected(folder, model, examples):
    save_file(expectations(model, examples), folder / "expected.safetensors")
    prompt = examples[1]["tokens"]
    count = 32 if model.config.is_encoder_decoder else 16  # past the farthest distance
    write_json(folder / "expected.json",
               dict(examples=examples, prompt=prompt, greedy=greedy(model, prompt, count)))


def attach_lora(model, **changes):
    torch.manual_seed(11)
    adapted = peft.get_peft_model(model, peft.LoraConfig(**{**LORA, **changes}))
    generator = torch.Generator().manual_seed(12)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return adapted.eval()


def measure_fisher(model, examples):
    """By parameter: the sum of the examples' squared gradients of the log likelihood, by their targets."""
    fisher = {n: torch.zeros_like(p) for n, p in model.named_parameters() if p.requires_grad}
    for example in examples:
        model.zero_grad()
        forward(model, example)[1].backward()
        for name, parameter in model.named_parameters():
            if name in fisher:
                fisher[name] += parameter.grad ** 2
    count = sum(sum(example["targets"]) for example in examples)
    model.zero_grad()
    return {name: value / count for name, value in fisher.items()}


def adamw(groups):
    return torch.optim.AdamW(groups, lr=TRAINING["learning_rate"], betas=(TRAINING["beta1"], TRAINING["beta2"]),
                             eps=TRAINING["epsilon"])


def train(model, batches, penalty=None, make_optimizer=adamw):
    """The losses (mean over a batch's targets) and gradient norms of an optimizer over the batches; with a penalty, a
    function without arguments that is part of what is minimised, its values before the updates."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = set(transformers.Trainer.get_decay_parameter_names(None, model))
    groups = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name in decayed].append(parameter)
    optimizer = make_optimizer([dict(params=groups[True], weight_decay=TRAINING["weight_decay"]),
                                dict(params=groups[False], weight_decay=0.0)])
    losses, norms, penalties = [], [], []
    for batch in batches:
        count = sum(sum(example["targets"]) for example in batch)
        total = 0.0
        optimizer.zero_grad()
        for example in batch:
            loss = forward(model, example)[1] / count
            loss.backward()
            total += loss.item()
        if penalty:
            value = penalty()
            value.backward()
            penalties.append(value.item())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, TRAINING["clip_norm"]).item())
        optimizer.step()
        losses.append(total)
    return dict(losses=losses, grad_norms=norms, **(dict(penalties=penalties) if penalty else {}))


def make_small(output):
    examples = make_examples(3, LENGTHS)
    for name, changes in CASES.items():
        folder = output / name
        folder.mkdir(parents=True)
        config = transformers.LlamaConfig(**{**BASE, **changes})
        model = make_model(config)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        write_expected(folder, model, examples)


def make_bare(folder, bare):
    """As the first files of GPT-2 are: names without "transformer.", and each layer's mask."""
    bare.mkdir()
    shutil.copy(folder / "config.json", bare)
    tensors = {name.removeprefix("transformer."): value for name, value in load_file(folder / "model.safetensors").items()}
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(64, 64).tril().view(1, 1, 64, 64)
    save_file(tensors, bare / "model.safetensors", metadata={"format": "pt"})


def make_families(output):
    """Each family's model and an adapter on it, as the Llama models, and 20 steps of training of both."""
    examples = make_examples(3, LENGTHS)
    batches = [make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    for name, (family, options) in FAMILIES.items():
        make = lambda: make_model(getattr(transformers, family + "Config")(**options))  # noqa: E731
        folder = output / name
        model = make()
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        write_expected(folder, model, examples)
        if name == "gpt2":
            make_bare(folder, output / "gpt2-bare")
        adapted = attach_lora(model)
        folder = output / f"{name}-lora"
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        write_expected(folder, adapted, examples)
        write_json(folder / "training.json", dict(options=TRAINING, batches=batches, full=train(make(), batches),
                                                  lora=train(attach_lora(make()), batches)))


def make_t5(output):
    """As make_families does, of encoder-decoders."""
    examples = make_answers(3, [(3, 7), (40, 29), (23, 1)])
    batches = [make_answers(100 + step, [(18, 5), (9, 30), (31, 2)]) for step in range(20)]
    for name, options in T5_FAMILIES.items():
        make = lambda: make_model(transformers.T5Config(**options), transformers.T5ForConditionalGeneration)  # noqa: E731
        folder = output / name
        model = make()
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if name == "flan-t5":  # as it is published; transformers 5 writes it in another way
            config = json.loads((folder / "config.json").read_text())
            del config["scale_decoder_outputs"]
            write_json(folder / "config.json", {**config, "tie_word_embeddings": False})
        write_expected(folder, model, examples)
        adapted = attach_lora(model, task_type="SEQ_2_SEQ_LM")
        folder = output / f"{name}-lora"
        adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        write_expected(folder, adapted, examples)
        write_json(folder / "training.json", dict(
            options=TRAINING, batches=batches, full=train(make(), batches),
            lora=train(attach_lora(make(), task_type="SEQ_2_SEQ_LM"), batches)))


def make_bert(output):
    """The encoder's hidden states, and the head of its pretraining: logits, loss and gradients where tokens are masked."""
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, pad_token_id=0)
    examples = make_examples(3, LENGTHS)
    model = make_model(config, transformers.BertModel)
    folder = output / "bert"
    model.save_pretrained(folder)
    hidden = torch.cat([model(torch.tensor([e["tokens"]])).last_hidden_state[0].detach() for e in examples])
    save_file({"hidden": hidden}, folder / "expected.safetensors")
    write_json(folder / "expected.json", dict(examples=examples))

    model = make_model(config, transformers.BertForMaskedLM)
    folder = output / "bert-masked"
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for case, adapted in ((folder, model), (output / "bert-masked-lora", None)):
        if adapted is None:
            adapted = attach_lora(model, target_modules=["query", "value", "intermediate.dense"], task_type=None)
            adapted.save_pretrained(case)
            (case / "README.md").unlink(missing_ok=True)
        adapted.zero_grad()
        logits, total = [], 0.0
        for example in examples:
            tokens, targets = torch.tensor(example["tokens"]), torch.tensor(example["targets"], dtype=torch.bool)
            masked = tokens.masked_fill(targets, 3)
            out = adapted(input_ids=masked[None]).logits[0].float()
            loss = torch.nn.functional.cross_entropy(out[targets], tokens[targets], reduction="sum")
            loss.backward()
            logits.append(out.detach())
            total += loss.item()
        tensors = {"logits": torch.cat(logits), "loss": torch.tensor([total])}
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                tensors["grad." + name.replace(".default.", ".")] = parameter.grad.clone()
        save_file(tensors, case / "expected.safetensors")
        write_json(case / "expected.json", dict(examples=examples, mask=3))


def make_lora(output):
    examples = make_examples(3, LENGTHS)
    model = attach_lora(make_model(transformers.LlamaConfig(**BASE)))
    folder = output / "lora"
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    write_expected(folder, model, examples)


def in_4bit(weight):
    """bitsandbytes' packed codes and state, and the weight that they stand for. That is by its definition (and its GPU kernels):
    its CPU kernel for it mixes blocks up where a row is shorter than a block."""
    functional = bitsandbytes.functional
    packed, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
    magnitudes = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1).flatten()[: weight.numel()]
    values = state.code[codes.long()] * magnitudes.repeat_interleave(64)[: weight.numel()]
    return packed, state, values.view(weight.shape)


def quantized(model):
    """The model with its layers' linear weights as they come out of 4 bits."""
    with torch.no_grad():
        for name, module in model.model.layers.named_modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.copy_(in_4bit(module.weight)[2])
    return model


def make_nf4(output):
    """Matrices in 4 bits, as bitsandbytes makes them, and out of them again."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for name, shape in {"even": (48, 40), "blocks": (300, 128), "odd": (7, 13)}.items():
        weight = torch.randn(shape, generator=generator) * torch.rand(shape[0], 1, generator=generator)
        packed, state, again = in_4bit(weight)
        tensors |= {f"{name}.weight": weight, f"{name}.codes": packed.flatten().clone(),
                    f"{name}.magnitudes": state.absmax.clone(), f"{name}.scales": state.state2.absmax.clone(),
                    f"{name}.mean": state.offset.reshape(1).clone(),
                    f"{name}.again": again}
    model = quantized(make_model(transformers.LlamaConfig(**BASE)))
    with torch.no_grad():
        tensors["default.logits"] = torch.cat([forward(model, example)[0] for example in make_examples(3, LENGTHS)])
    save_file(tensors, output / "nf4.safetensors")


def make_training(output):
    batches = [make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    full = train(make_model(transformers.LlamaConfig(**BASE)), batches)
    lora = train(attach_lora(make_model(transformers.LlamaConfig(**BASE))), batches)
    rslora = train(attach_lora(make_model(transformers.LlamaConfig(**BASE)), use_rslora=True), batches)
    qlora = train(attach_lora(quantized(make_model(transformers.LlamaConfig(**BASE)))), batches)
    write_json(output / "training.json",
               dict(options=TRAINING, batches=batches, full=full, lora=lora, qlora=qlora,
                    rslora=rslora))


def make_regularized(output):
    """training.json's batches with L2-SP and with EWC, whose Fisher is of all their examples."""
    batches = [make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    folder = output / "regularize"
    folder.mkdir()
    runs = {}

    def save(tensors, name):
        save_file({n.replace(".default.", "."): t.detach().clone() for n, t in tensors.items()},
                  folder / f"{name}.safetensors")

    for method in ("full", "lora"):
        for kind, strength in REGULARIZE.items():
            model = make_model(transformers.LlamaConfig(**BASE))
            if method == "lora":
                model = attach_lora(model)
            trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
            start = {name: parameter.detach().clone() for name, parameter in trained.items()}
            fisher = {name: torch.ones_like(parameter) for name, parameter in start.items()}
            if kind == "ewc":
                fisher = measure_fisher(model, [example for batch in batches for example in batch])
                save(fisher, f"{method}.fisher")

            def penalty():
                return strength / 2 * sum((fisher[n] * (p - start[n]) ** 2).sum() for n, p in trained.items())

            runs[f"{method}.{kind}"] = train(model, batches, penalty)
            save(trained, f"{method}.{kind}")
    write_json(folder / "expected.json", dict(strength=REGULARIZE, **runs))


def nearest_codes(numbers, code, scales, codes, block):
    """As bitsandbytes' own code in torch (backends/default) has it. Its CPU library looks codes up in a table that is too coarse
    for the small numbers of a map without signs: of 0 it makes 1.6e-5 of the largest."""
    blocks = torch.nn.functional.pad(numbers.flatten(), (0, -numbers.numel() % block)).view(-1, block)
    scales.copy_(blocks.abs().amax(1))
    scaled = (blocks * scales.clamp_min(1e-38).reciprocal()[:, None]).clamp(-1, 1).flatten()[:numbers.numel()]
    codes.copy_((scaled[:, None] - code).abs().argmin(1).view(codes.shape))


# Name: its options in a job, and what makes it of parameter groups.
OPTIMIZERS = {
    "adamw": (dict(learning_rate=3e-3, beta1=0.9, beta2=0.999), lambda groups, lr: torch.optim.AdamW(groups, lr=lr)),
    "adamw-8bit": (dict(learning_rate=3e-3, beta1=0.9, beta2=0.999),
                   lambda groups, lr: bitsandbytes.optim.AdamW8bit(groups, lr=lr)),
    "adafactor": (dict(learning_rate=3e-3),
                  lambda groups, lr: transformers.Adafactor(groups, lr=lr, scale_parameter=False, relative_step=False,
                                                            warmup_init=False)),
    "sgd": (dict(learning_rate=0.1, momentum=0.9), lambda groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9)),
    "lion": (dict(learning_rate=1e-3, beta1=0.9, beta2=0.99),
             lambda groups, lr: bitsandbytes.optim.Lion32bit(groups, lr=lr)),
}


def make_optimizers(output):
    """training.json's batches with each optimizer, on a model whose matrices are large enough for states of 8 bits."""
    bitsandbytes.backends.cpu.ops._quant_blockwise_fp32_direct = nearest_codes
    batches = [make_examples(100 + step, (18, 9, 31)) for step in range(20)]
    folder = output / "optimizers"
    config = transformers.LlamaConfig(**{**BASE, "hidden_size": 64, "intermediate_size": 72, "num_hidden_layers": 1})
    make_model(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    runs = {}
    for name, (options, make) in OPTIMIZERS.items():
        run = train(make_model(config), batches,
                    make_optimizer=lambda groups: make(groups, options["learning_rate"]))
        runs[name] = dict(options=options, **run)
    write_json(folder / "expected.json", dict(batches=batches, runs=runs))


def make_smollm2(output, gguf):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    prompts = []
    for text in PROMPTS:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0].float()
        rows = sorted({0, len(tokens) // 2, len(tokens) - 1})
        checked = []
        for row in rows:
            top = torch.topk(logits[row], 16).indices.tolist()
            columns = sorted(set(top + list(range(0, logits.shape[1], 997))))
            checked.append(dict(row=row, columns=columns, logits=logits[row, columns].tolist()))
        prompts.append(dict(text=text, tokens=tokens, rows=checked,
                            greedy=greedy(model, tokens, 24)))
    write_json(output / "smollm2.json", dict(file=gguf.name, prompts=prompts))


def differences(made, kept):
    """Files that differ by more than 1e-5 (relative to the largest value), or exist on one side only."""
    for path in sorted({p.relative_to(made) for p in made.rglob("*") if p.is_file()} |
                       {p.relative_to(kept) for p in kept.rglob("*") if p.is_file()}):
        a, b = made / path, kept / path
        if not a.exists() or not b.exists():
            yield f"{path}: only in {'the fixtures' if b.exists() else 'the new references'}"
        elif path.suffix == ".safetensors":
            new, old = load_file(a), load_file(b)
            if new.keys() != old.keys():
                yield f"{path}: other tensors"
            for name in new.keys() & old.keys():
                error = (new[name] - old[name]).abs().max().item()
                if not error <= 1e-5 * max(1.0, old[name].abs().max().item()):
                    yield f"{path}: {name} differs by {error}"
        elif path.suffix == ".json":
            tolerance = 0 if path.stem.endswith("config") else 1e-4
            yield from json_differences(str(path), json.loads(a.read_text()), json.loads(b.read_text()), tolerance)


def json_differences(path, new, old, tolerance):
    if isinstance(new, float) and isinstance(old, float):
        if not abs(new - old) <= tolerance * max(1.0, abs(old)):
            yield f"{path}: {new} instead of {old}"
    elif isinstance(new, dict) and isinstance(old, dict) and new.keys() == old.keys():
        for key in new:
            yield from json_differences(f"{path}.{key}", new[key], old[key], tolerance)
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        if all(isinstance(item, str) for item in new + old):  # of a set, in any order
            new, old = sorted(new), sorted(old)
        for i, (a, b) in enumerate(zip(new, old)):
            yield from json_differences(f"{path}[{i}]", a, b, tolerance)
    elif new != old:
        yield f"{path}: {new} instead of {old}"


def make_peft(output):
    import peft_references  # which takes what is above

    peft_references.make_peft(output)


def make_prompt(output):
    import prompt_references  # likewise

    prompt_references.make_prompt(output)


MAKERS = dict(small=make_small, lora=make_lora, families=make_families, t5=make_t5, bert=make_bert, nf4=make_nf4,
              training=make_training, regularize=make_regularized, optimizers=make_optimizers, peft=make_peft,
              prompt=make_prompt)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests/fixtures/model")
    parser.add_argument("--smollm2", type=pathlib.Path,
                        default=SMOLLM2)
    parser.add_argument("--compare", action="store_true",
                        help="change nothing; exit 1 when the fixtures are not what is made now")
    parser.add_argument("--only", nargs="+", choices=[*MAKERS, "smollm2"], default=[*MAKERS, "smollm2"],
                        help="make these, and leave the other files as they are")
    arguments = parser.parse_args()
    check_versions()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        made = pathlib.Path(temporary) / "model"
        made.mkdir()
        for name in arguments.only:
            if name == "smollm2":
                make_smollm2(made, arguments.smollm2)
            else:
                MAKERS[name](made)
        whole = len(arguments.only) > len(MAKERS)
        if arguments.compare:
            found = [d for d in differences(made, arguments.output) if whole or "only in the fixtures" not in d]
            print("\n".join(found) or "the fixtures are what the references make")
            sys.exit(1 if found else 0)
        if whole:
            shutil.rmtree(arguments.output, ignore_errors=True)
        shutil.copytree(made, arguments.output, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
