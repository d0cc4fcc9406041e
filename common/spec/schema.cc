#include "common/spec/schema.h"

#include <algorithm>

#include "common/base/files.h"

namespace attune::spec {
namespace {

using v1::JobSpec;

bool IsPrompt(const JobSpec& spec) {
  return spec.method().type() == "prompt-tuning";
}

bool IsLora(const JobSpec& spec) {
  return spec.method().type() != "full" && !IsPrompt(spec);
}

// "smollm2@3" and lora: "smollm2-lora".
std::string DefaultName(const JobSpec& spec) {
  return spec.base().substr(0, spec.base().find('@')) + "-" + spec.method().type();
}

bool IsOptimizer(const JobSpec& spec, std::string_view name) {
  return spec.optimizer().name() == name;
}

bool IsTask(const JobSpec& spec, std::string_view type) {
  return spec.task().type() == type;
}

bool IsAdamW(const JobSpec& spec) {
  return IsOptimizer(spec, "adamw") || IsOptimizer(spec, "adamw-8bit");
}

bool HasBetas(const JobSpec& spec) {
  return IsAdamW(spec) || IsOptimizer(spec, "lion");
}

// What is to end a run elsewhere is not ended by this.
std::string DefaultEpochs(const JobSpec& spec) {
  const bool ends = spec.train().max_steps() > 0 || spec.train().max_tokens() > 0;
  return ends ? std::to_string(static_cast<int>(kEpochsMost)) : "1";
}

std::string DefaultLearningRate(const JobSpec& spec) {
  if (IsPrompt(spec)) {
    return IsOptimizer(spec, "sgd") ? "0.3" : IsOptimizer(spec, "lion") ? "3e-3" : "1e-2";
  }
  if (IsOptimizer(spec, "sgd")) return IsLora(spec) ? "1e-2" : "3e-3";
  // DPO's loss tells apart what the model already knows: trl's default, and its advice for LoRA.
  if (IsTask(spec, "preference")) {
    if (IsOptimizer(spec, "lion")) return IsLora(spec) ? "2.5e-6" : "2.5e-7";
    return IsLora(spec) ? "1e-5" : "1e-6";
  }
  if (IsOptimizer(spec, "lion")) return IsLora(spec) ? "5e-5" : "5e-6";
  return IsLora(spec) ? "2e-4" : "2e-5";
}

std::string DefaultBetas(const JobSpec& spec) {
  return IsOptimizer(spec, "lion") ? "[0.9, 0.99]" : "[0.9, 0.999]";
}

bool IsEwc(const JobSpec& spec) {
  return spec.regularize().type() == "ewc";
}

bool HasPenalty(const JobSpec& spec) {
  return spec.regularize().type() == "l2-sp" || IsEwc(spec);
}

std::string DefaultStrength(const JobSpec& spec) {
  return IsEwc(spec) ? "100" : "0.01";
}

// Tasks that count examples are given as many as their batch says.
std::string DefaultPacking(const JobSpec& spec) {
  const bool next_tokens = IsTask(spec, "auto") || IsTask(spec, "causal-lm");
  return next_tokens ? "true" : "false";
}

constexpr std::string_view kTask = "task.type", kMethod = "method.type",
                           kLora = "with method.type lora or qlora",
                           kPrompt = "with method.type prompt-tuning",
                           kRegularize = "regularize.type",
                           kPenalty = "with regularize.type l2-sp or ewc",
                           kEwc = "with regularize.type ewc", kOptimizer = "optimizer.name";

const std::vector<Field>& Table() {
  static const auto* table = new std::vector<Field>{
      {.path = "base",
       .type = "string",
       .doc = "The model to start from: NAME (its newest version), NAME@VERSION or NAME@ALIAS. "
              "`attune model list` shows what there is."},
      {.path = "dataset",
       .type = "string, or a list of {name, weight} or {name, share}",
       .doc = "What to train on: NAME (its newest version) or NAME@VERSION. A list mixes several; "
              "weight is how often an epoch has the data set: 1 once, 2 twice, 0.5 half of it. "
              "share, in place of weight, is the part of an epoch's examples that are of it, "
              "whatever the sizes: `{name: old-docs, share: 0.3}` mixes 3 old examples in with "
              "every 7 of the data sets without a share. train.seed decides which ones."},
      {.path = "method.type",
       .type = "string",
       .values = {"lora", "qlora", "full", "prompt-tuning"},
       .doc = "How the model is changed: lora trains small low-rank matrices beside frozen "
              "weights; qlora the same beside weights that are kept in 4 bits (NF4 with double "
              "quantisation), which takes less memory and more time; full trains every weight; "
              "prompt-tuning trains rows that stand before each text in place of embedded tokens, "
              "a few thousand numbers (Lester et al. 2021; peft's PROMPT_TUNING). `method: lora` "
              "is short for `method: {type: lora}`."},
      {.path = "method.rank",
       .type = "whole number",
       .fallback = "16",
       .range = {1, 1024},
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Rank of the low-rank matrices: more learns more and takes more memory."},
      {.path = "method.alpha",
       .type = "number",
       .fallback = "32",
       .range = {0.001, 65536},
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Scale of the update: it is multiplied by alpha / rank."},
      {.path = "method.dropout",
       .type = "number",
       .fallback = "0",
       .range = {0, 0.9},
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Share of the adapter's inputs that is dropped at random while training. What is "
              "dropped follows from seed, step, example and position, whatever the ranks and "
              "micro_batch."},
      {.path = "method.rank_stabilized",
       .type = "true or false",
       .fallback = "false",
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Multiply the update by alpha / sqrt(rank), so that high ranks learn as well as low "
              "ones (rsLoRA, Kalajdzievski 2023; peft's use_rslora)."},
      {.path = "method.target_modules",
       .type = "string or list of strings",
       .fallback = "all-linear",
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Which linear layers get an adapter: all-linear, attention, mlp, or names such as "
              "[q_proj, v_proj]."},
      {.path = "method.layers",
       .type = "list of whole numbers",
       .fallback = "[]",
       .range = {0, 9999},
       .may_lack = true,
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Which layers' linear layers get an adapter, from 0; empty: all (peft's "
              "layers_to_transform)."},
      {.path = "method.dora",
       .type = "true or false",
       .fallback = "false",
       .may_lack = true,
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Also train a magnitude of each output of the adapted layers, and with A and B only "
              "the direction (DoRA, Liu et al. 2024; peft's use_dora): nearer to full fine-tuning "
              "at low ranks, for more time and memory a step."},
      {.path = "method.bias",
       .type = "string",
       .fallback = "none",
       .values = {"none", "lora_only", "all"},
       .may_lack = true,
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Which biases of the base train beside the adapter: lora_only those of adapted "
              "layers, all those of every module."},
      {.path = "method.modules_to_save",
       .type = "list of strings",
       .fallback = "[]",
       .may_lack = true,
       .applies = IsLora,
       .applies_key = kMethod,
       .applies_doc = kLora,
       .doc = "Modules that train as a whole beside the adapter and are saved with it, by the "
              "endings of their names, as peft has it: [embed_tokens, lm_head] for new words or a "
              "new template, norm for all norms. Each takes the memory of full fine-tuning."},
      {.path = "method.virtual_tokens",
       .type = "whole number",
       .fallback = "20",
       .range = {1, 4096},
       .may_lack = true,
       .applies = IsPrompt,
       .applies_key = kMethod,
       .applies_doc = kPrompt,
       .doc = "How many rows stand before each text. They take positions of the model: "
              "train.sequence_length is without them."},
      {.path = "method.init_text",
       .type = "string",
       .derive = [](const JobSpec&) { return std::string(); },
       .default_doc = "none",
       .may_lack = true,
       .applies = IsPrompt,
       .applies_key = kMethod,
       .applies_doc = kPrompt,
       .doc = "What a new prompt starts as: the embedded tokens of this text, cut, or again from "
              "its beginning; empty: tokens that train.seed draws from the vocabulary."},
      {.path = "task.type",
       .type = "string",
       .fallback = "auto",
       .values = {"auto", "causal-lm", "seq2seq", "masked-lm", "classification", "embedding",
                  "preference"},
       .may_lack = true,
       .doc = "What is learned. auto is what the base is made for: the next tokens (causal-lm), "
              "an answer to a source (seq2seq, T5), or masked tokens (masked-lm, BERT). "
              "classification gives a text one of labels, embedding brings texts that belong "
              "together near each other, preference prefers chosen to rejected answers (DPO, "
              "Rafailov et al. 2023). `task: classification` is short for `task: {type: "
              "classification}`."},
      {.path = "task.labels",
       .type = "list of strings",
       .fallback = "[]",
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return IsTask(spec, "classification"); },
       .applies_key = kTask,
       .applies_doc = "with task.type classification",
       .doc = "What a text can be, in the order of the model's outputs; empty: the labels of the "
              "base. An example's is its label, or its completion where it has a prompt."},
      {.path = "task.beta",
       .type = "number",
       .fallback = "0.1",
       .range = {1e-6, 1000},
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return IsTask(spec, "preference"); },
       .applies_key = kTask,
       .applies_doc = "with task.type preference",
       .doc = "How dear it is to leave the model that training starts from: higher stays nearer."},
      {.path = "task.mask_share",
       .type = "number",
       .fallback = "0.15",
       .range = {0.01, 0.9},
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return IsTask(spec, "masked-lm"); },
       .applies_key = kTask,
       .applies_doc = "with task.type masked-lm",
       .doc = "Share of an example's tokens that are to be found. Of these 80 % are masked, 10 % "
              "are others at random, 10 % stay, as BERT has it."},
      {.path = "task.scale",
       .type = "number",
       .fallback = "20",
       .range = {0.01, 10000},
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return IsTask(spec, "embedding"); },
       .applies_key = kTask,
       .applies_doc = "with task.type embedding",
       .doc = "What cosines are multiplied by before their softmax: 1 / temperature."},
      {.path = "name",
       .type = "string",
       .derive = DefaultName,
       .default_doc = "BASE-METHOD, e.g. smollm2-lora",
       .doc = "Name of the job: lower-case letters, digits, '.', '_' and '-'. It need not be "
              "unique; where a "
              "command takes a job, the name stands for the newest job of that name."},
      {.path = "ranks.min",
       .type = "whole number",
       .fallback = "1",
       .range = {1, 1024},
       .doc = "The fewest trainer processes (one slot each) the job starts with. `ranks: 2` is "
              "short for "
              "`ranks: {min: 2, max: 2}`. The result does not depend on the number of ranks."},
      {.path = "ranks.max",
       .type = "whole number",
       .derive = [](const JobSpec& spec) { return std::to_string(spec.ranks().min()); },
       .default_doc = "ranks.min",
       .range = {1, 1024},
       .doc = "The most trainer processes the job uses when slots are free."},
      {.path = "train.max_steps",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 100000000},
       .doc = "Stop after this many optimizer steps, or when the epochs are over, if train.epochs "
              "says "
              "how many; 0: no limit."},
      {.path = "train.max_tokens",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 1e15},
       .may_lack = true,
       .doc = "Stop with the optimizer step that reaches so many tokens, of all ranks and epochs "
              "together; 0: no limit. The learning rate's schedule ends there too."},
      {.path = "train.epochs",
       .type = "number",
       .derive = DefaultEpochs,
       .range = {0.001, kEpochsMost},
       .default_doc = "1; with max_steps or max_tokens as many as they take, 10000 at most",
       .doc = "How often every example is seen. Fractions are allowed."},
      {.path = "train.max_seconds",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 1e9},
       .may_lack = true,
       .doc = "Stop with the optimizer step that reaches so many seconds of training, of all "
              "attempts together (steps that a lost attempt made after its last checkpoint do not "
              "count); 0: no limit. The job ends as one that is done: it evaluates and writes what "
              "it has. The learning rate is then where its schedule was: constant suits it best."},
      {.path = "train.sequence_length",
       .type = "whole number",
       .fallback = "1024",
       .range = {8, 1048576},
       .doc = "Tokens in a sequence. Longer examples are cut; several short ones share a sequence "
              "(packing)."},
      {.path = "train.packing",
       .type = "true or false",
       .derive = DefaultPacking,
       .default_doc = "true with task.type auto and causal-lm, else false",
       .doc = "Put several examples into one sequence. Attention never crosses an example, so each "
              "has the loss that it has alone. But train.global_batch counts sequences: a step has "
              "more examples and an epoch fewer steps than without; `job submit --dry-run` shows "
              "how many."},
      {.path = "train.global_batch",
       .type = "whole number",
       .fallback = "16",
       .range = {1, 65536},
       .doc = "Sequences in one optimizer step, over all ranks together. With train.packing a "
              "sequence holds several examples."},
      {.path = "train.micro_batch",
       .type = "whole number",
       .fallback = "1",
       .range = {1, 1024},
       .doc = "Sequences in one forward pass of one rank: larger is faster on a GPU and takes more "
              "memory. It "
              "does not change the result."},
      {.path = "train.precision",
       .type = "string",
       .fallback = "float32",
       .values = {"float32", "bfloat16"},
       .doc =
           "Number format of the computation: bfloat16 halves memory where the hardware has it."},
      {.path = "train.seed",
       .type = "whole number",
       .fallback = "1",
       .doc = "Decides the order of examples, which are drawn of a data set that is not there as a "
              "whole, the adapter's start and dropout. Same seed, same result."},
      {.path = "train.loss_on",
       .type = "string",
       .fallback = "targets",
       .values = {"targets", "all"},
       .doc = "Which tokens are learned: targets (completions and assistant turns) or all."},
      {.path = "train.threads",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 1024},
       .doc = "CPU threads of a rank; 0: the slot's share of its host's cores."},
      {.path = "train.activation_checkpointing",
       .type = "true or false",
       .fallback = "false",
       .doc =
           "Recompute activations in the backward pass: much less memory, about a third slower."},
      {.path = "train.checkpointed_layers",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 100'000},
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return spec.train().activation_checkpointing(); },
       .applies_doc = "with train.activation_checkpointing",
       .doc = "Recompute only the first so many layers (of an encoder-decoder, of each of the two "
              "stacks): a bit of the memory for a bit of the time; 0: all."},
      {.path = "train.ema_decay",
       .type = "number",
       .fallback = "0",
       .range = {0, 0.9999999},
       .may_lack = true,
       .doc = "Keep an average of the weights that train, which after each step moves by "
              "1 - ema_decay of the way towards them, and evaluate and write that in their place "
              "(torch's AveragedModel with get_ema_multi_avg_fn); 0: none. It takes 4 bytes a "
              "weight that trains."},
      {.path = "train.shard_optimizer",
       .type = "true or false",
       .fallback = "false",
       .may_lack = true,
       .doc =
           "Let each rank keep the optimizer's state of its part of the weights only (ZeRO-1): "
           "with "
           "4 ranks about a quarter each. Ranks send each other what they updated; the result is "
           "the same bit by bit."},
      {.path = "train.require_end",
       .type = "true or false",
       .fallback = "true",
       .doc =
           "Refuse data of which no example teaches the model to stop: what is learned ends with "
           "no token that ends a generation. `attune dataset check` shows how many do."},
      {.path = "optimizer.name",
       .type = "string",
       .fallback = "adamw",
       .values = {"adamw", "adamw-8bit", "adafactor", "sgd", "lion"},
       .doc = "The optimizer. adamw is the safe choice; adamw-8bit has its moments in a quarter of "
              "the memory; adafactor keeps a row and a column of each matrix; lion has one moment "
              "and moves every weight by the learning rate; sgd has one moment, or none without "
              "momentum, and wants a learning rate of its own for each model (docs/training.md)."},
      {.path = "optimizer.learning_rate",
       .type = "number",
       .derive = DefaultLearningRate,
       .default_doc = "2e-4 with lora and qlora, 2e-5 with full; 1e-5 and 1e-6 with task.type "
                      "preference; a quarter of it with lion; 1e-2 and 3e-3 with sgd. With "
                      "prompt-tuning 1e-2; 3e-3 with lion, 0.3 with sgd",
       .range = {1e-12, 10},
       .doc = "The highest learning rate, reached after warm-up."},
      {.path = "optimizer.weight_decay",
       .type = "number",
       .fallback = "0",
       .range = {0, 10},
       .doc = "Weight decay, of weights only: norms and biases are left out, as by "
              "transformers' Trainer. It is decoupled from the gradient, but with sgd a part of "
              "it, as in torch."},
      {.path = "optimizer.betas",
       .type = "list of two numbers",
       .derive = DefaultBetas,
       .default_doc = "[0.9, 0.999]; [0.9, 0.99] with lion",
       .range = {0, 0.9999999},
       .applies = HasBetas,
       .applies_key = kOptimizer,
       .applies_doc = "with optimizer.name adamw, adamw-8bit or lion",
       .doc = "AdamW: decay of the first and second moment. Lion: how much of the momentum is in "
              "a step's direction, and its decay."},
      {.path = "optimizer.epsilon",
       .type = "number",
       .fallback = "1e-8",
       .range = {1e-16, 1},
       .applies = IsAdamW,
       .applies_key = kOptimizer,
       .applies_doc = "with optimizer.name adamw or adamw-8bit",
       .doc = "Added to AdamW's denominator."},
      {.path = "optimizer.momentum",
       .type = "number",
       .fallback = "0.9",
       .range = {0, 0.9999999},
       .applies = [](const JobSpec& spec) { return IsOptimizer(spec, "sgd"); },
       .applies_key = kOptimizer,
       .applies_doc = "with optimizer.name sgd",
       .doc = "How much of its last step a weight takes again: a learning rate of r then moves it "
              "as far as one of r / (1 - momentum) would without; 0: none."},
      {.path = "optimizer.schedule",
       .type = "string",
       .fallback = "cosine",
       .values = {"cosine", "linear", "constant"},
       .doc = "How the learning rate goes on after warm-up: down to 0 as a cosine or a line, or "
              "constant."},
      {.path = "optimizer.warmup_steps",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 10000000},
       .doc = "Steps in which the learning rate climbs from 0. The run should have more of them: "
              "see train.packing."},
      {.path = "optimizer.clip_norm",
       .type = "number",
       .fallback = "1",
       .range = {0, 1000000},
       .doc = "Gradients with a larger norm are scaled down to it; 0: never."},
      {.path = "regularize.type",
       .type = "string",
       .fallback = "none",
       .values = {"none", "l2-sp", "ewc"},
       .may_lack = true,
       .doc =
           "l2-sp adds strength/2 times the sum of (w - w0)^2 over the weights that train to the "
           "loss (Li, Grandvalet, Davoine 2018); w0 is where training starts: the base's "
           "weights, the adapter that the base is, or a new adapter's first values. ewc weighs "
           "each square with its Fisher information (Kirkpatrick et al. 2017): what mattered "
           "to old examples moves least. The reported loss is without the penalty. "
           "`regularize: l2-sp` is short for `regularize: {type: l2-sp}`."},
      {.path = "regularize.strength",
       .type = "number",
       .derive = DefaultStrength,
       .default_doc = "0.01 with l2-sp, 100 with ewc",
       .range = {1e-12, 1e12},
       .applies = HasPenalty,
       .applies_key = kRegularize,
       .applies_doc = kPenalty,
       .doc =
           "How hard the weights are held. The Fisher information is of one target token, as the "
           "loss is, so that 1 with ewc would hold the old examples as dear as the new if no "
           "two weights worked together; since they do, it takes far more. `penalty` of `attune "
           "job "
           "metrics -o jsonl` shows what it comes to: near 0 it holds nothing."},
      {.path = "regularize.fisher_examples",
       .type = "whole number",
       .fallback = "64",
       .range = {1, 1000000},
       .applies = IsEwc,
       .applies_key = kRegularize,
       .applies_doc = kEwc,
       .doc = "From so many training examples the Fisher information is measured before the first "
              "step: of the data sets with a share, else of all. Each takes a forward and a "
              "backward pass."},
      {.path = "evaluate.every_steps",
       .type = "whole number",
       .fallback = "50",
       .range = {0, 100000000},
       .doc = "Measure the validation loss every so many steps; 0: only before the first and after "
              "the last "
              "step, which is always done."},
      {.path = "evaluate.split",
       .type = "string",
       .fallback = "validation",
       .values = {"validation"},
       .doc = "The split that is measured."},
      {.path = "evaluate.max_examples",
       .type = "whole number",
       .fallback = "200",
       .range = {0, 100000000},
       .doc = "At most so many examples of it, always the same ones; 0: all."},
      {.path = "evaluate.patience",
       .type = "whole number",
       .fallback = "0",
       .range = {0, 1000000},
       .may_lack = true,
       .doc = "Stop after so many evaluations in a row that brought no better evaluate.metric than "
              "the "
              "best so far; 0: never. The job ends as one that is done."},
      {.path = "evaluate.min_delta",
       .type = "number",
       .fallback = "0",
       .range = {0, 1000},
       .may_lack = true,
       .applies = [](const JobSpec& spec) { return spec.evaluate().patience() > 0; },
       .applies_key = "evaluate.patience",
       .applies_doc = "with evaluate.patience above 0",
       .doc = "By how much at least."},
      {.path = "evaluate.keep_best",
       .type = "true or false",
       .fallback = "false",
       .may_lack = true,
       .doc = "Let what comes out be as it was at the evaluation with the best evaluate.metric. "
              "Its weights are kept in the run's folder best."},
      {.path = "evaluate.metric",
       .type = "string",
       .fallback = "loss",
       .values = {"loss", "accuracy"},
       .may_lack = true,
       .doc = "What is better: a lower validation loss, or a higher accuracy, which tasks about "
              "examples have (classification, embedding, preference)."},
      {.path = "checkpoint.every_steps",
       .type = "whole number",
       .fallback = "50",
       .range = {0, 100000000},
       .doc = "Write a checkpoint every so many steps, from which a lost run goes on; 0: only "
              "after the last."},
      {.path = "checkpoint.keep",
       .type = "whole number",
       .fallback = "2",
       .range = {1, 1000},
       .doc = "How many checkpoints stay on disk; older ones are removed."},
      {.path = "register.model",
       .type = "string",
       .derive = [](const JobSpec& spec) { return spec.name(); },
       .default_doc = "the job's name",
       .doc = "The name in the model registry under which the result becomes a new version. "
              "`register: NAME` "
              "is short for `register: {model: NAME}`."},
      {.path = "retry.max_restarts",
       .type = "whole number",
       .fallback = "3",
       .range = {0, 1000},
       .doc = "How often the job starts again from its last checkpoint after a trainer has failed; "
              "a new checkpoint sets the count back to 0. Lost workers and unreadable storage do "
              "not count."},
  };
  return *table;
}

}  // namespace

std::span<const Field> Schema() {
  return Table();
}

const Field* FindField(std::string_view path) {
  for (const Field& field : Table()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

std::vector<std::string> KeysOf(std::string_view section) {
  std::vector<std::string> keys;
  for (const Field& field : Table()) {
    std::string_view key = field.path;
    size_t dot = key.find('.');
    if (section.empty()) {
      key = key.substr(0, dot);
    } else if (dot == key.npos || key.substr(0, dot) != section) {
      continue;
    } else {
      key = key.substr(dot + 1);
    }
    if (keys.empty() || keys.back() != key) keys.emplace_back(key);
  }
  return keys;
}

bool IsSection(std::string_view path) {
  return !path.empty() && FindField(path) == nullptr && !KeysOf(path).empty();
}

std::string_view SectionDoc(std::string_view section) {
  static constexpr std::pair<std::string_view, std::string_view> kDocs[] = {
      {"method", "How the model is changed."},
      {"task", "What is learned."},
      {"ranks", "How many trainer processes share the work."},
      {"train", "What is fed to the model, and how much of it at a time."},
      {"optimizer", "How the weights follow the gradients."},
      {"regularize",
       "What holds the model near where it starts, so that the old is not forgotten."},
      {"evaluate", "When and on what the validation loss is measured."},
      {"checkpoint", "What a lost run goes on from."},
      {"register", "What becomes of the result."},
      {"retry", "What a failure may cost."},
  };
  for (const auto& [name, doc] : kDocs) {
    if (name == section) return doc;
  }
  return "";
}

}  // namespace attune::spec
