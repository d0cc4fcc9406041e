#pragma once

// The engine's whole public face: tasks in, events and files out. No torch, gRPC or protobuf here,
// so that attune-trainer compiles fast and the engine can be used as a library.
//
// Each function runs one task to its end on the calling thread (rank r of w; the others run the
// same call in their own process). Errors: kInvalidArgument is the user's input, kNotFound a file
// of it that is not there, or data that is not prepared (any more), kUnavailable a lost peer,
// kResourceExhausted a full disk and nothing else, kCancelled a stop as asked, kDataLoss damaged
// files, kInternal no memory or our fault. kFailedPrecondition is for what would be the same again
// if it were tried again as it is: a checkpoint of another run, ranks with different models, data
// or settings, a device that this build or machine lacks, or a loss or gradients that are no longer
// finite.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data_check.h"

namespace attune::engine {

// What c10d bootstraps from. Implemented by the trainer over gRPC, and in memory for tests.
// Thread-safe.
class KeyValueStore {
 public:
  virtual ~KeyValueStore() = default;
  virtual Status Set(const std::string& key, const std::string& value) = 0;
  // Waits until the key exists; kDeadlineExceeded after timeout.
  virtual Result<std::string> Get(const std::string& key, std::chrono::milliseconds timeout) = 0;
  // Sets desired where the value is expected (or the key is absent and expected is empty); the
  // value after.
  virtual Result<std::string> CompareAndSet(const std::string& key, const std::string& expected,
                                            const std::string& desired) = 0;
  virtual Result<int64_t> Add(const std::string& key, int64_t amount) = 0;
  virtual Result<bool> Check(const std::vector<std::string>& keys) = 0;
  virtual Result<bool> Delete(const std::string& key) = 0;
};

// Shared by the ranks of one process: for tests with one thread per rank.
std::unique_ptr<KeyValueStore> NewMemoryStore();

struct ModelFiles {
  std::string reference;             // "name@version", for messages and lineage
  std::filesystem::path path;        // folder
  std::string format;                // "huggingface", "gguf" or "peft-adapter"
  std::filesystem::path source;      // of an import: the path that was given; else empty
  std::shared_ptr<ModelFiles> base;  // of an adapter
};

struct DatasetFiles {
  std::string reference;
  std::filesystem::path path;  // folder of a dataset version
  std::string checksum;
  double weight = 1;  // how often an epoch has it, without a share
  double share = 0;   // in place of weight: its part of an epoch's examples, in (0, 1); else 0
};

// What training minimises (JobSpec.task). Its units, which a loss is the mean over, are target
// tokens (causal-lm, seq2seq, masked-lm) or examples.
struct Objective {
  // "auto": what the base is made for; or "causal-lm", "seq2seq", "masked-lm", "classification",
  // "embedding", "preference".
  std::string type = "auto";
  std::vector<std::string> labels;  // classification: in the order of the head's outputs
  double beta = 0.1;                // preference (DPO)
  double mask_share = 0.15;         // masked-lm: of an example's tokens
  double scale = 20;                // embedding: of the cosines, before their softmax
};

struct Method {
  // "full", "lora", "qlora" (LoRA on a base in 4 bits), or "prompt-tuning": rows before each
  // example in place of embedded tokens (Lester et al. 2021).
  std::string type = "lora";
  int rank = 16;
  double alpha = 32;
  double dropout = 0;
  bool rank_stabilized = false;  // the update is times alpha / sqrt(rank), not alpha / rank
  std::vector<std::string> target_modules = {"all-linear"};
  bool dora = false;
  std::string bias = "none";  // or "lora_only", "all"
  std::vector<std::string> modules_to_save;
  std::vector<int> layers;  // that have an adapter; none: all
  int virtual_tokens = 20;  // prompt-tuning
  std::string init_text;    // prompt-tuning: see MethodSpec
};

// Whether an adapter trains, beside a frozen base.
inline bool TrainsAdapter(const Method& method) {
  return method.type != "full";
}

struct TrainOptions {
  double epochs = 1;
  int max_steps = 0;  // 0: no limit
  int sequence_length = 1024;
  bool packing = true;
  int global_batch = 16;
  int micro_batch = 1;
  std::string precision = "float32";  // or "bfloat16"
  uint64_t seed = 1;
  std::string loss_on = "targets";  // or "all"
  int threads = 0;                  // 0: torch's default
  bool activation_checkpointing = false;
  int checkpointed_layers = 0;   // of them the first so many of each stack; 0: all
  bool require_end = false;      // see CheckTeaches
  int64_t max_tokens = 0;        // ends after the step that reaches as many; 0: no limit
  int max_seconds = 0;           // the same, of training in all attempts; 0: no limit
  double ema_decay = 0;          // of an average of the weights, which is what comes out; 0: none
  bool shard_optimizer = false;  // each rank keeps a part of the optimizer's state (ZeRO-1)
};

struct OptimizerOptions {
  std::string name = "adamw";  // or "adamw-8bit", "adafactor", "sgd", "lion"
  double learning_rate = 2e-4;
  double weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  std::string schedule = "cosine";  // "linear", "cosine" or "constant"
  int warmup_steps = 0;
  double clip_norm = 1;  // 0: none
  double momentum = 0;   // of sgd
};

// What holds the weights w that train near w0, where training starts (for an adapter that is new:
// A at random, B zero). It is added to the loss, not to what is reported as loss.
struct RegularizeOptions {
  // "none"; "l2-sp": strength / 2 * sum of (w - w0)^2; "ewc": each square times the diagonal of
  // the Fisher information.
  std::string type = "none";
  double strength = 0;
  int fisher_examples = 64;
};

struct EvaluateOptions {
  int every_steps = 0;
  std::string split = "validation";
  int max_examples = 0;
  int patience = 0;             // ends after so many evaluations without a better metric; 0: never
  double min_delta = 0;         // better by at least so much
  bool keep_best = false;       // what comes out is as it was at the best evaluation
  std::string metric = "loss";  // or "accuracy": what patience and keep_best go by
};

struct CheckpointOptions {
  int every_steps = 0;
  int keep = 2;
};

struct StepReport {
  int step = 0;                             // 1 is the first applied step
  double loss = 0;                          // mean over the global step's units
  int64_t tokens = 0, target_tokens = 0;    // of the global step; see Objective for its units
  double learning_rate = 0, grad_norm = 0;  // of loss and penalty, before clipping
  std::optional<double> penalty;            // of RegularizeOptions, before the update
  std::optional<double> accuracy;           // of objectives about examples: the share that is right
  uint64_t examples = 0;                    // that were fed to the model, over all ranks
  uint64_t examples_digest = 0;             // of their ids (common/ledger/example_sum.h)
  int64_t predicted_memory = 0;             // bytes of a rank; see MemoryPrediction
  int64_t peak_memory = 0;                  // bytes so far, of the rank that needed most
  double seconds = 0;
  // sync: waiting for other ranks, and for a checkpoint to be written.
  double seconds_data = 0, seconds_forward = 0, seconds_backward = 0, seconds_sync = 0,
         seconds_optimizer = 0;
};

struct EvaluationReport {
  int step = 0;
  double loss = 0;  // mean over units
  int64_t target_tokens = 0;
  std::optional<double> accuracy;
};

struct Progress {
  std::string phase;  // "loading", "tokenizing", "training", "evaluating", "saving", ...
  double done = 0, total = 0;
  double own = 0;  // of done: what this process did and the other ranks do not count yet
  int step = 0, total_steps = 0;
};

// What a stop asks for; the engine looks after every step.
enum class StopRequest { kNone, kStop, kCheckpointAndStop };

// Called on the engine's thread; must return quickly. Steps and evaluations are reported on every
// rank with the same numbers; checkpoints on rank 0, once durable, which may be in the next step.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnProgress(const Progress&) {}
  virtual void OnStep(const StepReport&) {}
  virtual void OnEvaluation(const EvaluationReport&) {}
  virtual void OnCheckpoint(int step, const std::filesystem::path&) {}
  virtual void OnOutput(const std::string& line) {}  // one JSON object, no newline
  // More of the answer to a prompt, as it is made (GenerateTask.stream).
  virtual void OnText(size_t prompt, const std::string& piece) {}
  virtual void OnWarning(const std::string& message) {}  // work goes on, but a person should know
  virtual StopRequest ShouldStop() { return StopRequest::kNone; }
};

struct Membership {
  int rank = 0;
  int world_size = 1;
  std::string device = "cpu";                // or "cuda:N"
  std::chrono::milliseconds timeout{60000};  // of a collective
  int64_t memory_limit = 0;  // bytes that this rank may use; 0: what its device or host has
};

struct PrepareTask {
  ModelFiles base;
  std::vector<DatasetFiles> datasets;
  std::filesystem::path token_cache;
  TrainOptions train;            // sequence_length, loss_on; seed of what is drawn
  Objective objective;           // which tokens an example has, and what it needs
  int rank = 0, world_size = 1;  // of those who prepare together
};
// One split of one dataset version.
struct SplitCounts {
  int64_t examples = 0;
  int64_t truncated = 0;       // longer than sequence_length: their ends are cut off
  int64_t without_target = 0;  // dropped: nothing to learn, or nothing before the cut
  int64_t unusable = 0;        // left out: preferences, or what the template cannot take
  int64_t used() const { return examples - without_target - unusable; }
};
struct DatasetCounts {
  std::string reference;
  double weight = 1, share = 0;  // as in DatasetFiles
  SplitCounts train, validation;
  int64_t examples_an_epoch = 0;      // of the training split, by weight or share
  std::vector<std::string> unusable;  // the first few, each with its id, first words and reason
};
struct PrepareResult {
  int64_t examples = 0, tokens = 0, target_tokens = 0;  // of an epoch of the training split
  int64_t validation_examples = 0;
  std::vector<DatasetCounts> datasets;
  bool cached = false;  // everything was there
};
// Tokenizes what the cache lacks, together with whoever prepares it at the same time, until all is
// there; then reads the rank's part of it whole, and makes anew what is damaged. Warns of what is
// cut, dropped and left out. kInvalidArgument when the chat template cannot take more than 5 % of a
// dataset's examples. Progress comes on any thread, one call at a time.
Result<PrepareResult> Prepare(const PrepareTask& task, Observer& observer);

// kInvalidArgument when prepared data cannot teach what it is meant to: with require_end, when no
// example that is whole teaches the model to stop.
Status CheckTeaches(const PrepareTask& task);

struct TrainTask {
  PrepareTask data;  // must be prepared
  Method method;
  OptimizerOptions optimizer;
  RegularizeOptions regularize;
  EvaluateOptions evaluate;
  CheckpointOptions checkpoint;
  std::filesystem::path run_directory;         // checkpoints/step-00000020/, ledger/, output/
  std::filesystem::path resume_from;           // a folder of checkpoints; empty: from the start
  std::map<std::string, std::string> lineage;  // written into the output's attune.json
  uint32_t generation =
      0;  // of the attempt: a later one shuts out the writes of an earlier; 0: none, and no ledger
};
struct TrainResult {
  int steps = 0;
  double final_loss = 0;  // of the last step
  std::optional<double> first_validation_loss;
  // Of what comes out.
  std::optional<double> final_validation_loss, final_validation_accuracy;
  std::filesystem::path output;  // run_directory/output: a folder that transformers or peft loads
};
// Goes on from the newest whole checkpoint in resume_from. Evaluates, trains, evaluates, writes the
// output (rank 0). With world_size 1 the store may be null. A run that starts anew and cannot fit
// into memory (tasks/admission.h) is kInvalidArgument before the model is loaded, with the change
// that fits; one that resumes is warned about.
Result<TrainResult> Train(const TrainTask& task, const Membership& membership, KeyValueStore* store,
                          Observer& observer);

struct MemoryPrediction {
  int64_t weights = 0, gradients = 0, optimizer = 0, regularize = 0, activations = 0,
          overhead = 0;  // bytes, per rank
  int64_t total() const {
    return weights + gradients + optimizer + regularize + activations + overhead;
  }
};
struct PlanResult {
  int steps = 0;
  int64_t sequences = 0, examples = 0, tokens = 0, target_tokens = 0;
  double fill = 0;  // share of sequence_length x sequences that holds tokens
  // What fill an epoch could have at most by a lower bound of its sequences, which need not be
  // within reach; without packing its own.
  double fill_limit = 0;
  int64_t parameters = 0, trainable_parameters = 0;
  MemoryPrediction memory;
  PrepareResult data;
  DataCheck check;
  std::vector<std::string> warnings;  // what a person should know before training so
};
// Prepares the data, and says what Train would do with it on so many ranks. device: of each; what
// it needs of memory depends on its kind.
Result<PlanResult> Plan(const TrainTask& task, int world_size, Observer& observer,
                        const std::string& device = "cpu");

// A text, or a conversation that the chat template renders.
struct Prompt {
  std::string text;      // a user's message when the model has a chat template
  std::string messages;  // a JSON array of {"role", "content", ...}, in place of text
  std::string tools;     // a JSON array for the chat template; may be empty
  std::string adapter;   // the reference of that of GenerateTask.adapters which answers; else the
                         // task's model does
};
struct GenerateTask {
  ModelFiles model;
  std::vector<ModelFiles> adapters;  // over the same base, which is loaded once
  std::vector<Prompt> prompts;
  std::string system;  // a system message before conversations that have none
  int max_tokens = 128;
  double temperature = 0;  // 0: greedy
  int top_k = 0;           // only so many of the likeliest tokens; 0: all
  double top_p = 1;
  uint64_t seed = 1;
  bool raw = false;               // true: no chat template
  std::vector<std::string> stop;  // texts that end an answer, which has them not
  bool stream = false;            // tell OnText, too
  int batch = 8;                  // prompts that are answered at a time
  std::string precision;          // "float32" or "bfloat16"; empty: bfloat16 on a GPU, else float32
  int threads = 0;
  std::string device = "cpu";
};
// Reports a line per prompt through OnOutput: {"prompt" or "messages", "text", "tokens", "finish":
// "stop"|"length"}, with adapters "model", too: who answers; of a classifier {"prompt", "text",
// "label", "probabilities"}, of one that embeds {"prompt", "text", "embedding"}.
Status Generate(const GenerateTask& task, Observer& observer);

struct ExportTask {
  ModelFiles model;
  uint32_t generation = 0;       // as TrainTask's
  std::filesystem::path folder;  // must not exist or be empty
  bool merge = false;            // an adapter into its base
  // What a merged model is held against its parts on: their validation splits; else some sentences.
  std::vector<DatasetFiles> datasets;
  std::string dtype;  // "float32", "bfloat16", "float16"; empty: that of the original
};
// Writes what transformers (or peft, for an adapter that is not merged) loads as it is. Reports one
// line through OnOutput: {"folder", "dtype", "base" (of an adapter), "note" (if there is one),
// "moved" (of a merged one: how its outputs differ from the base's with the adapter on)}.
Status Export(const ExportTask& task, Observer& observer);

}  // namespace attune::engine
