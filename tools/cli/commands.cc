// The command table.

#include "common/spec/schedule_spec.h"
#include "tools/cli/command.h"
#include "tools/cli/handlers.h"

namespace attune::cli {
namespace {

const Parameter kJob{.name = "JOB",
                     .doc = "A job's id, or a name: the newest job of that name.",
                     .required = true,
                     .completes = Completes::kJob};
const Parameter kModel{.name = "MODEL",
                       .doc = "NAME (newest version), NAME@VERSION or NAME@ALIAS.",
                       .required = true,
                       .completes = Completes::kModel};
const Parameter kLimit{.name = "--limit",
                       .value = "N",
                       .doc = "At most so many.",
                       .type = ValueType::kWhole,
                       .fallback = "1000"};
const Parameter kAllVersions{.name = "--all-versions",
                             .doc = "Every version, not only the newest."};

void AddClusterCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.verb = "up",
       .summary = "start a cluster on this machine",
       .details =
           "Starts a coordinator on a loopback port and N workers of one slot each, detached, and "
           "waits "
           "until they are ready. Everything it keeps is in $ATTUNE_HOME (default ~/.attune): "
           "configuration, logs, process ids, storage. Run again, it brings back what is missing.",
       .options =
           {{.name = "--workers",
             .value = "N",
             .doc = "How many workers. Default: as before, else 1.",
             .type = ValueType::kWhole},
            {.name = "--port",
             .value = "P",
             .doc = "Port of the coordinator; 0: a free one. Default: as before, else 7070.",
             .type = ValueType::kWhole},
            {.name = "--metrics-port",
             .value = "P",
             .doc =
                 "Port of the coordinator's /metrics; 0: a free one. Workers take those after it. "
                 "Default: as before, else 9464 or a free one.",
             .type = ValueType::kWhole},
            {.name = "--device",
             .value = "DEVICE",
             .doc = "What a slot computes on; auto: GPUs where there are some. Default: as before, "
                    "else auto.",
             .words = {"auto", "cpu", "cuda"}},
            {.name = "--foreground",
             .doc = "Stay, bring back a process that ends, and stop all of it on Ctrl-C."}},
       .examples = {"attune up --workers 2", "ATTUNE_HOME=/tmp/try attune up --port 0"},
       .run = RunUp});
  commands->push_back({.verb = "down",
                       .summary = "stop the cluster that `attune up` started",
                       .details =
                           "Stops the workers, then the coordinator: SIGTERM, and SIGKILL after "
                           "the grace time. State, "
                           "data sets and models stay; jobs go on after the next `attune up`.",
                       .options = {{.name = "--grace",
                                    .value = "TIME",
                                    .doc = "How long a process may take to stop.",
                                    .type = ValueType::kDuration,
                                    .fallback = "20s"}},
                       .run = RunDown});
  commands->push_back({.verb = "status",
                       .summary = "show the cluster, its nodes and local processes",
                       .run = RunStatus});
  commands->push_back(
      {.verb = "doctor",
       .summary = "check this machine and the way to the coordinator",
       .details = "Each line is ok, warn or fail, and says how to fix it. Fails "
                  "(exit 1) when a line does. With --parity instead: trains a small model "
                  "for one step in every way of a grid (ranks, micro-batches, packing, "
                  "activation checkpointing, full and LoRA), and fails when two ways make "
                  "updates that differ by more than 1e-5 (docs/training.md).",
       .options = {{.name = "--parity",
                    .doc = "Prove that one update is the same however it is made."},
                   {.name = "--device",
                    .value = "DEVICE",
                    .doc = "With --parity: what to compute on; of GPUs there is one for a "
                           "rank.",
                    .words = {"cpu", "cuda"},
                    .fallback = "cpu"},
                   {.name = "--model",
                    .value = "FOLDER",
                    .doc = "With --parity: a Hugging Face folder to train LoRA on, in place "
                           "of the small model.",
                    .completes = Completes::kFolder}},
       .examples = {"attune doctor", "attune doctor --parity"},
       .run = RunDoctor});
}

void AddMetaCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.verb = "version", .summary = "print the version of the program", .run = RunVersion});
  commands->push_back(
      {.verb = "completion",
       .summary = "print a completion script for a shell",
       .arguments = {{.name = "SHELL",
                      .doc = "The shell.",
                      .required = true,
                      .words = {"bash", "zsh", "fish"}}},
       .examples = {"attune completion bash > ~/.local/share/bash-completion/completions/attune",
                    "attune completion zsh > ~/.zfunc/_attune",
                    "attune completion fish > ~/.config/fish/completions/attune.fish"},
       .run = RunCompletion});
  commands->push_back(
      {.verb = "help",
       .summary = "print the help of a command",
       .arguments = {{.name = "COMMAND",
                      .doc = "A command, such as `job submit`.",
                      .repeated = true}},
       .options = {{.name = "--markdown", .doc = "The whole reference, as in docs/cli.md."}},
       .run = RunHelp});
}

void AddJobSubmit(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "job",
       .verb = "submit",
       .summary = "submit a job spec",
       .details =
           "Checks the spec, fills in every default and submits it. Prints the job; safe to repeat "
           "while "
           "the coordinator is away. docs/job-spec.md and `attune job explain` describe the keys.",
       .arguments = {{.name = "FILE",
                      .doc = "A job spec in YAML; - is standard input.",
                      .required = true,
                      .completes = Completes::kFile}},
       .options = {{.name = "--set",
                    .value = "KEY=VALUE",
                    .doc = "Override a key, such as train.epochs=3.",
                    .repeated = true,
                    .completes = Completes::kSpecKey},
                   {.name = "--watch",
                    .doc = "Follow the job to its end; exit 1 unless it succeeds.",
                    .short_name = "-w"},
                   {.name = "--dry-run",
                    .doc =
                        "Train nothing: print the plan (steps, tokens, ranks, memory per rank)."}},
       .examples = {"attune job submit configs/jobs/docstrings.yaml --watch",
                    "attune job submit job.yaml --set train.max_steps=10 --set ranks=2 --dry-run",
                    "attune job submit job.yaml -o name"},
       .run = RunJobSubmit});
}

void AddJobViews(std::vector<Command>* commands) {
  commands->push_back({.noun = "job",
                       .verb = "list",
                       .summary = "list jobs, newest first",
                       .options = {{.name = "--state",
                                    .value = "STATE",
                                    .doc = "Only jobs in this state.",
                                    .repeated = true,
                                    .words = {"queued", "preparing", "running", "paused",
                                              "succeeded", "failed", "cancelled"}},
                                   {.name = "--all",
                                    .doc = "Plan, generate and export jobs too.",
                                    .short_name = "-a"},
                                   kLimit},
                       .run = RunJobList});
  commands->push_back(
      {.noun = "job",
       .verb = "show",
       .summary = "show a job: state, progress, result, incidents",
       .arguments = {kJob},
       .options = {{.name = "--spec", .doc = "Only its resolved spec, as YAML to submit again."}},
       .run = RunJobShow});
  commands->push_back(
      {.noun = "job",
       .verb = "watch",
       .summary = "follow a job to its end",
       .details =
           "Shows state, progress, losses and speed; goes on when the coordinator restarts. Ctrl-C "
           "detaches (exit 130) and the job goes on. Exit 0 when the job succeeded, else 1. With "
           "-o jsonl every event is a line on standard output.",
       .arguments = {kJob},
       .run = RunJobWatch});
  commands->push_back({.noun = "job",
                       .verb = "metrics",
                       .summary = "print a job's losses and speed per step",
                       .arguments = {kJob},
                       .options = {{.name = "--follow",
                                    .doc = "Go on until the job has ended.",
                                    .short_name = "-f"},
                                   {.name = "--after",
                                    .value = "STEP",
                                    .doc = "Only steps after this one.",
                                    .type = ValueType::kWhole,
                                    .fallback = "0"},
                                   {.name = "--all",
                                    .doc = "Every step in the table, not a selection.",
                                    .short_name = "-a"}},
                       .examples = {"attune job metrics docstrings",
                                    "attune job metrics docstrings -o jsonl > metrics.jsonl"},
                       .run = RunJobMetrics});
  commands->push_back(
      {.noun = "job",
       .verb = "logs",
       .summary = "print what a job's trainers logged",
       .arguments = {kJob},
       .options =
           {{.name = "--follow", .doc = "Go on until the job has ended.", .short_name = "-f"},
            {.name = "--rank", .value = "N", .doc = "Only this rank.", .type = ValueType::kWhole},
            {.name = "--tail",
             .value = "LINES",
             .doc = "Only the last lines of each rank.",
             .type = ValueType::kWhole}},
       .run = RunJobLogs});
  commands->push_back(
      {.noun = "job",
       .verb = "ledger",
       .summary = "prove which examples a job's model was trained on",
       .details =
           "Holds what the job's plan gives each step against what was fed to the model, over all "
           "ranks and attempts: each example of an epoch used once, or which were not. Steps that "
           "were lost with an attempt and done again are shown and do not count. Exit 1 when an "
           "example is missing or repeated. docs/ledger.md explains the fields.",
       .arguments = {kJob},
       .options = {{.name = "--list",
                    .value = "WHICH",
                    .doc = "List these examples, a line each: id, epoch and step.",
                    .words = {"missing", "repeated"}}},
       .examples = {"attune job ledger docstrings",
                    "attune job ledger docstrings --list missing -o jsonl"},
       .run = RunJobLedger});
}

void AddJobActions(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "job",
       .verb = "cancel",
       .summary = "stop a job for good",
       .arguments = {kJob},
       .options = {{.name = "--reason", .value = "TEXT", .doc = "Kept with the job."}},
       .run = RunJobCancel});
  commands->push_back({.noun = "job",
                       .verb = "pause",
                       .summary = "checkpoint a job and free its slots",
                       .arguments = {kJob},
                       .run = RunJobPause});
  commands->push_back({.noun = "job",
                       .verb = "resume",
                       .summary = "queue a paused, pausing or failed job again, from its last "
                                  "checkpoint",
                       .arguments = {kJob},
                       .run = RunJobResume});
  commands->push_back({.noun = "job",
                       .verb = "why",
                       .summary = "explain why a job waits or where it runs",
                       .arguments = {kJob},
                       .run = RunJobWhy});
  commands->push_back(
      {.noun = "job",
       .verb = "explain",
       .summary = "explain the keys of a job spec",
       .arguments = {{.name = "KEY",
                      .doc = "A key or a section, such as train.epochs; none: all of them.",
                      .completes = Completes::kSpecKey}},
       .options = {{.name = "--markdown", .doc = "The whole reference, as in docs/job-spec.md."}},
       .examples = {"attune job explain optimizer.learning_rate", "attune job explain train"},
       .run = RunJobExplain});
}

void AddDatasetCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "dataset",
       .verb = "import",
       .summary = "make a data set version from JSONL, CSV or Parquet files",
       .details =
           "A row is an example: `messages` (a chat, with `tools` if it has some), `prompt` "
           "and `completion` (two texts or two lists of messages), `instruction`, `input` and "
           "`output`, `conversations` (ShareGPT), `text`, or `chosen` and `rejected` (a preference "
           "pair); docs/datasets.md says what is learned of each. Format and gzip or zstd are "
           "recognised, and shown. The new "
           "version "
           "is immutable and checksummed; exact duplicates are kept once; the split follows "
           "from each "
           "example's content, so no example can be on both sides. Rejected rows are "
           "reported with file "
           "and line (of Parquet, the row). A row's `metadata` (and source, language, tenant, "
           "timestamp, label) is kept "
           "beside it.",
       .arguments = {{.name = "NAME",
                      .doc = "The data set's name; a new version if it exists.",
                      .required = true,
                      .completes = Completes::kDataset},
                     {.name = "FILES",
                      .doc = "Files, patterns ('data/**/*.jsonl'), s3://BUCKET/KEY or a pattern of "
                             "it, which the coordinator reads; - is standard input.",
                      .required = true,
                      .repeated = true,
                      .completes = Completes::kFile}},
       .options = {{.name = "--spec",
                    .value = "FILE",
                    .doc = "An import spec in YAML: format and mapping (`attune dataset explain`).",
                    .completes = Completes::kFile},
                   {.name = "--format",
                    .value = "FORMAT",
                    .doc = "What all files are, in place of what each begins with.",
                    .words = {"jsonl", "csv", "parquet"}},
                   {.name = "--map",
                    .value = "KEY=COLUMN",
                    .doc = "Which column a key of the row is, or a text with columns in braces.",
                    .repeated = true},
                   {.name = "--validation",
                    .value = "SHARE",
                    .doc =
                        "Share of the examples kept apart to measure on, 0 to 0.9. Default 0.05.",
                    .type = ValueType::kNumber},
                   {.name = "--append",
                    .doc = "Begin with all examples of the newest version, each on its side of the "
                           "split."},
                   {.name = "--allow-unlabelled",
                    .doc = "Keep rows without an answer apart, for drift to be told by; else they "
                           "are rejected."}},
       .examples = {"attune dataset import stdlib-docs docs/*.jsonl",
                    "attune dataset import chats - < chats.jsonl",
                    "attune dataset import chats chats/more.jsonl --append",
                    "attune dataset import faq faq.csv --map prompt=question --map "
                    "completion=answer",
                    "attune dataset import chats 's3://data/chats/**/*.parquet'"},
       .run = RunDatasetImport});
  commands->push_back(
      {.noun = "dataset",
       .verb = "explain",
       .summary = "describe the keys of an import spec, as docs/import-spec.md does",
       .run = RunDatasetExplain});
  commands->push_back({.noun = "dataset",
                       .verb = "list",
                       .summary = "list data sets",
                       .options = {kAllVersions, kLimit},
                       .run = RunDatasetList});
  commands->push_back({.noun = "dataset",
                       .verb = "show",
                       .summary = "show a data set version and its import report",
                       .arguments = {{.name = "DATASET",
                                      .doc = "NAME (newest version) or NAME@VERSION.",
                                      .required = true,
                                      .completes = Completes::kDataset}},
                       .run = RunDatasetShow});
  AddDatasetVersionCommands(commands);
  AddDatasetDroppedCommand(commands);
}

void AddModelCommands(std::vector<Command>* commands) {
  commands->push_back({.noun = "model",
                       .verb = "import",
                       .summary = "register a model from a folder or a GGUF file",
                       .details = "PATH is a Hugging Face folder, a PEFT adapter folder or a GGUF "
                                  "file that the coordinator can "
                                  "read; it is checked and copied.",
                       .arguments = {{.name = "NAME",
                                      .doc = "The model's name; a new version if it exists.",
                                      .required = true,
                                      .completes = Completes::kModel},
                                     {.name = "PATH",
                                      .doc = "Folder or .gguf file.",
                                      .required = true,
                                      .completes = Completes::kFile}},
                       .options = {{.name = "--base",
                                    .value = "MODEL",
                                    .doc = "Of an adapter: the model it belongs to.",
                                    .completes = Completes::kModel}},
                       .run = RunModelImport});
  commands->push_back({.noun = "model",
                       .verb = "list",
                       .summary = "list models",
                       .options = {kAllVersions, kLimit},
                       .run = RunModelList});
  commands->push_back({.noun = "model",
                       .verb = "show",
                       .summary = "show a model version and where it came from",
                       .arguments = {kModel},
                       .run = RunModelShow});
  commands->push_back(
      {.noun = "model",
       .verb = "export",
       .summary = "write a model as a folder that transformers or peft loads",
       .arguments = {kModel,
                     {.name = "FOLDER",
                      .doc = "New or empty; on storage that the workers see.",
                      .required = true,
                      .completes = Completes::kFolder}},
       .options = {{.name = "--merge", .doc = "Merge an adapter into its base model."},
                   {.name = "--dtype",
                    .value = "TYPE",
                    .doc = "How weights are written. Default: as the weights were with which "
                           "the model began; float32 for a quantised GGUF file and for an adapter "
                           "that a job made.",
                    .words = {"float32", "bfloat16", "float16"}}},
       .run = RunModelExport});
  commands->push_back(
      {.noun = "model",
       .verb = "generate",
       .summary = "let a model answer prompts",
       .details = "A prompt is a user's message when the model has a chat template. Prints the "
                  "answers; with -o "
                  "jsonl a line per prompt: prompt or messages, text, tokens, finish; with "
                  "adapters, model. A classifier says label and probabilities instead, a model of "
                  "embeddings embedding. Only the "
                  "options decide how tokens are chosen; what the model's generation_config.json "
                  "says of it is not used.",
       .arguments = {kModel},
       .options =
           {{.name = "--prompt", .value = "TEXT", .doc = "A prompt.", .repeated = true},
            {.name = "--prompts",
             .value = "FILE",
             .doc = "Prompts, one a line: {\"prompt\": \"...\"}, a JSON string, or "
                    "{\"messages\": [...], \"tools\": [...]} (tools may be left out), each with an "
                    "\"adapter\", if it likes; - is standard input.",
             .completes = Completes::kFile},
            {.name = "--adapter",
             .value = "NAME",
             .doc = "An adapter that answers in MODEL's place; given several times, each answers "
                    "every prompt that names none. They must be of MODEL's base, which is loaded "
                    "once; MODEL itself may be among them.",
             .repeated = true,
             .completes = Completes::kModel},
            {.name = "--system",
             .value = "TEXT",
             .doc = "A system message before each conversation that has none."},
            {.name = "--max-tokens",
             .value = "N",
             .doc = "The most tokens of an answer.",
             .type = ValueType::kWhole,
             .fallback = "128"},
            {.name = "--temperature",
             .value = "T",
             .doc = "0: always the likeliest token.",
             .type = ValueType::kNumber,
             .fallback = "0"},
            {.name = "--top-k",
             .value = "K",
             .doc = "Only so many of the likeliest tokens; 0: all.",
             .type = ValueType::kWhole,
             .fallback = "0"},
            {.name = "--top-p",
             .value = "P",
             .doc = "Of these only the likeliest up to this probability.",
             .type = ValueType::kNumber,
             .fallback = "1"},
            {.name = "--seed",
             .value = "N",
             .doc = "Same seed, same answers.",
             .type = ValueType::kWhole,
             .fallback = "1"},
            {.name = "--precision",
             .value = "TYPE",
             .doc =
                 "Number format of the computation. Default: bfloat16 on a GPU where the weights "
                 "have 16 bits, else float32.",
             .words = {"float32", "bfloat16"}},
            {.name = "--stop",
             .value = "TEXT",
             .doc = "An answer ends before this text.",
             .repeated = true},
            {.name = "--batch",
             .value = "N",
             .doc = "Prompts that are answered at a time. Each needs memory for its tokens; its "
                    "answer does not depend on the others, but for the last bits of its numbers.",
             .type = ValueType::kWhole,
             .fallback = "8"},
            {.name = "--stream",
             .doc = "Show answers while they are made; what a terminal gets anyway."},
            {.name = "--raw",
             .doc = "No chat template: the model goes on with the prompt's text."}},
       .examples =
           {"attune model generate docstrings --prompt 'Write a docstring for def add(a, b): ...'",
            "attune model generate docstrings --prompts prompts.jsonl --max-tokens 64 -o jsonl",
            "attune model generate smollm2 --adapter docstrings --adapter smollm2 --prompt Hi"},
       .run = RunModelGenerate});
  commands->push_back(
      {.noun = "model",
       .verb = "evaluate",
       .summary = "measure a model on data sets",
       .details =
           "Measures the loss, and what --metric asks for, on examples of each data set, as the "
           "gates of a schedule do: what will be served, on as many examples, with the same bounds "
           "(one-sided, each alone 95 % sure). Metrics are loss (or validation_loss), perplexity, "
           "exact_match, token_f1, rouge_l; regex=PATTERN (RE2, the whole answer), "
           "json_schema=FILE, judge=NAME (of the workers' configuration); "
           "accuracy=LABEL,LABEL,..., macro_f1=... and calibration_error=... choose the likeliest "
           "label. docs/models.md says what each is. Prints a table; with -o json its numbers, "
           "with "
           "-o jsonl what each example came to, a line each.",
       .arguments = {kModel},
       .options = {{.name = "--dataset",
                    .value = "NAME",
                    .doc = "What to measure on: name (its newest version) or name@version.",
                    .repeated = true,
                    .completes = Completes::kDataset},
                   {.name = "--split",
                    .value = "SPLIT",
                    .doc = "The examples of this split.",
                    .words = {"validation", "train"},
                    .fallback = "validation"},
                   {.name = "--metric",
                    .value = "NAME[=VALUE]",
                    .doc = "What to measure beside the loss.",
                    .repeated = true},
                   {.name = "--slice",
                    .value = "KEY",
                    .doc = "Show results also by this key of the rows' metadata, or by length.",
                    .repeated = true},
                   {.name = "--max-examples",
                    .value = "N",
                    .doc = "At most so many of each data set, those with the lowest ids; 0: all.",
                    .type = ValueType::kWhole,
                    .fallback = std::to_string(spec::kSuiteExamples)},
                   {.name = "--max-tokens",
                    .value = "N",
                    .doc = "The most tokens of a generated answer.",
                    .type = ValueType::kWhole,
                    .fallback = "128"},
                   {.name = "--unmerged",
                    .doc =
                        "Measure an adapter beside its base, not merged into it as it is served."},
                   {.name = "--dtype",
                    .value = "TYPE",
                    .doc = "Measure the weights rounded to this type. Default: as `model export` "
                           "writes them.",
                    .words = {"float32", "bfloat16", "float16"}}},
       .examples =
           {"attune model evaluate docstrings --dataset docs --metric rouge_l --slice language",
            "attune model evaluate mood --dataset reviews --metric accuracy=good,bad -o json"},
       .run = RunModelEvaluate});
}

void AddScheduleCommands(std::vector<Command>* commands) {
  const Parameter schedule{.name = "SCHEDULE", .doc = "A schedule's name.", .required = true};
  const Parameter update{.name = "UPDATE", .doc = "An update's id.", .required = true};
  const Parameter reason{.name = "--reason", .value = "TEXT", .doc = "Kept with it."};
  const Parameter watch{
      .name = "--watch",
      .doc =
          "Follow it until it is decided. Exit 0: promoted, or its gates passed and a person "
          "is to promote it (promote.manual). Exit 1: kept back, failed, skipped, cancelled or "
          "rolled back."};
  commands->push_back(
      {.noun = "schedule",
       .verb = "apply",
       .summary = "make or change a schedule from a YAML file",
       .details = "docs/schedule-spec.md and `attune schedule explain` describe the keys. Applied "
                  "again it replaces the schedule; an update that runs goes on as it began.",
       .arguments = {{.name = "FILE",
                      .doc = "The schedule spec; - is standard input.",
                      .required = true,
                      .completes = Completes::kFile}},
       .options = {{.name = "--dry-run",
                    .doc = "Check all that apply would, print the spec with every default, and "
                           "change nothing."}},
       .examples = {"attune schedule apply weekly.yaml"},
       .run = RunScheduleApply});
  commands->push_back({.noun = "schedule",
                       .verb = "list",
                       .summary = "list schedules",
                       .options = {kLimit},
                       .run = RunScheduleList});
  commands->push_back(
      {.noun = "schedule",
       .verb = "show",
       .summary = "show a schedule and what it does now",
       .arguments = {schedule},
       .options = {{.name = "--spec", .doc = "Its spec as YAML, with every default."}},
       .run = RunScheduleShow});
  commands->push_back({.noun = "schedule",
                       .verb = "next",
                       .summary = "when cron fires next, and what would keep it from starting",
                       .arguments = {schedule},
                       .options = {{.name = "--count",
                                    .value = "N",
                                    .doc = "So many.",
                                    .type = ValueType::kWhole,
                                    .fallback = "5"}},
                       .run = RunScheduleNext});
  commands->push_back(
      {.noun = "schedule",
       .verb = "trigger",
       .summary = "start an update now, whatever the triggers say",
       .details = "The limits hold. With --watch: prints what happens until the candidate is "
                  "promoted or kept; Ctrl-C (exit 130) leaves it running.",
       .arguments = {schedule},
       .options = {watch, reason},
       .run = RunScheduleTrigger});
  commands->push_back({.noun = "schedule",
                       .verb = "history",
                       .summary = "list the updates of a schedule, newest first",
                       .arguments = {schedule},
                       .options = {kLimit},
                       .run = RunScheduleHistory});
  commands->push_back(
      {.noun = "schedule",
       .verb = "update",
       .summary = "show the way of an update: times, reasons, gates, what was forgotten",
       .arguments = {update},
       .options = {watch},
       .run = RunScheduleUpdate});
  commands->push_back({.noun = "schedule",
                       .verb = "cancel",
                       .summary = "end an update and its jobs; what is promoted stays so",
                       .arguments = {update},
                       .options = {reason},
                       .run = RunScheduleCancel});
  commands->push_back({.noun = "schedule",
                       .verb = "pause",
                       .summary = "let nothing start; an update that runs goes on",
                       .arguments = {schedule},
                       .options = {reason},
                       .run = RunSchedulePause});
  commands->push_back({.noun = "schedule",
                       .verb = "resume",
                       .summary = "end a pause; slots that passed meanwhile do not fire",
                       .arguments = {schedule},
                       .run = RunScheduleResume});
  commands->push_back({.noun = "schedule",
                       .verb = "delete",
                       .summary = "remove a schedule; its history stays",
                       .arguments = {schedule},
                       .run = RunScheduleDelete});
  commands->push_back({.noun = "schedule",
                       .verb = "explain",
                       .summary = "print the reference of schedule specs",
                       .run = RunScheduleExplain});
}

}  // namespace

const std::vector<Command>& Commands() {
  static const auto* commands = [] {
    auto* out = new std::vector<Command>;
    AddClusterCommands(out);
    AddJobSubmit(out);
    AddJobViews(out);
    AddJobActions(out);
    AddDatasetCommands(out);
    AddDataCheckCommand(out);
    AddModelCommands(out);
    AddGateCommands(out);
    AddRegistryCommands(out);
    AddDriftCommands(out);
    AddScheduleCommands(out);
    out->push_back({.noun = "node",
                    .verb = "list",
                    .summary = "list nodes: slots, device, state",
                    .run = RunNodeList});
    AddMetaCommands(out);
    return out;
  }();
  return *commands;
}

const std::vector<Noun>& Nouns() {
  static const auto* nouns = new std::vector<Noun>{
      {"job", "fine-tuning jobs: submit, follow, control"},
      {"dataset", "versions of training data"},
      {"model", "the model registry: import, promote, export, generate, evaluate"},
      {"drift", "streams of live data, held against what a model was trained on"},
      {"schedule", "retraining that nobody has to start"},
      {"node", "the cluster's machines"},
  };
  return *nouns;
}

const std::vector<Parameter>& GlobalOptions() {
  static const auto* options = new std::vector<Parameter>{
      {.name = "--output",
       .value = "FORMAT",
       .doc = "table for people; json, jsonl, yaml with the protocol's field names; name.",
       .short_name = "-o",
       .words = {"table", "json", "jsonl", "yaml", "name"},
       .fallback = "table"},
      {.name = "--address",
       .value = "HOST:PORT",
       .doc = "The coordinator. Variable: ATTUNE_ADDRESS."},
      {.name = "--context",
       .value = "NAME",
       .doc = "A context of ~/.config/attune/config.yaml. Variable: ATTUNE_CONTEXT."},
      {.name = "--token-file",
       .value = "FILE",
       .doc = "File with the access token. Variables: ATTUNE_TOKEN_FILE, ATTUNE_TOKEN (the token "
              "itself).",
       .completes = Completes::kFile},
      {.name = "--ca",
       .value = "FILE",
       .doc = "CA certificate; turns TLS on. Variable: ATTUNE_CA.",
       .completes = Completes::kFile},
      {.name = "--cert",
       .value = "FILE",
       .doc = "Client certificate for mutual TLS. Variable: ATTUNE_CERT.",
       .completes = Completes::kFile},
      {.name = "--key",
       .value = "FILE",
       .doc = "Its private key. Variable: ATTUNE_KEY.",
       .completes = Completes::kFile},
      {.name = "--timeout",
       .value = "TIME",
       .doc = "How long one request may take, with its retries.",
       .type = ValueType::kDuration,
       .fallback = "15s"},
      {.name = "--quiet",
       .doc = "No messages and no progress, only data and errors.",
       .short_name = "-q"},
      {.name = "--no-color", .doc = "No colors. Variable: NO_COLOR."},
  };
  return *options;
}

const Command* FindCommand(const std::string& noun, const std::string& verb) {
  for (const Command& command : Commands()) {
    if (command.noun == noun && command.verb == verb) return &command;
  }
  return nullptr;
}

}  // namespace attune::cli
