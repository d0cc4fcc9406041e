// Predicted and measured memory, speed, and the price of checkpoints of whole training runs; not a
// test.
//
// usage: train_bench make FOLDER [--hidden 576] [--layers 30] [--heads 9] [--kv-heads 3]
//                    [--intermediate 1536] [--vocabulary 49152] [--untied] [--bytes 250]
//   writes a random Llama model and a dataset of random texts of up to so many bytes into FOLDER
// usage: train_bench run FOLDER [--model FOLDER_OR_GGUF] [--method full|lora] [--dropout 0]
//                    [--length 512] [--global-batch 2] [--micro-batch 1] [--steps 4] [--threads 2]
//                    [--precision float32|bfloat16] [--checkpointing] [--checkpoint-every 0]
//                    [--optimizer adamw] [--momentum 0] [--ema-decay 0]
//                    [--device cpu|cuda:0] [--discard]
//   trains on it in this process, and prints the plan's prediction beside the peak of resident
//   memory; with --discard ends after the last step and writes nothing

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/fixtures/tiny_llama.h"
#include "worker/engine/engine.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Flags {
 public:
  Flags(int argc, char** argv) {
    for (int i = 3; i < argc; ++i) {
      const std::string name = argv[i];
      const bool has_value = i + 1 < argc && !std::string(argv[i + 1]).starts_with("--");
      values_[name] = has_value ? argv[++i] : "1";
    }
  }
  std::string Text(const std::string& name, const std::string& otherwise) const {
    const auto found = values_.find("--" + name);
    return found == values_.end() ? otherwise : found->second;
  }
  int Number(const std::string& name, int otherwise) const {
    return std::atoi(Text(name, std::to_string(otherwise)).c_str());
  }

 private:
  std::map<std::string, std::string> values_;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

// Texts of two fifths of `bytes`, or more up to it.
Status WriteSplit(const fs::path& folder, const char* split, int count, int bytes, json& shards) {
  Random random(static_cast<uint64_t>(count));
  std::string lines;
  for (int i = 0; i < count; ++i) {
    std::string text;
    const auto least = static_cast<uint64_t>(bytes * 2 / 5);
    for (uint64_t n = least + random.Below(static_cast<uint64_t>(bytes) - least); n > 0; --n)
      text += static_cast<char>('a' + random.Below(26));
    json row = {{"kind", "text"}, {"text", text}};
    row["id"] = Sha256Hex(row.dump()).substr(0, 32);
    lines += row.dump() + "\n";
  }
  const std::string file = std::string(split) + "-00000.jsonl";
  shards.push_back({{"file", file},
                    {"split", split},
                    {"examples", count},
                    {"bytes", lines.size()},
                    {"sha256", Sha256Hex(lines)}});
  return WriteFileAtomically(folder / file, lines);
}

Status Make(const fs::path& folder, const Flags& flags) {
  ATTUNE_RETURN_IF_ERROR(attune::testing::WriteTinyLlama(
      folder / "model", {.hidden = flags.Number("hidden", 576),
                         .layers = flags.Number("layers", 30),
                         .heads = flags.Number("heads", 9),
                         .key_value_heads = flags.Number("kv-heads", 3),
                         .intermediate = flags.Number("intermediate", 1536),
                         .vocabulary = flags.Number("vocabulary", 49152),
                         .positions = 8192,
                         .tied = flags.Number("untied", 0) == 0}));
  fs::create_directories(folder / "data");
  json shards = json::array();
  const int bytes = flags.Number("bytes", 250);
  ATTUNE_RETURN_IF_ERROR(WriteSplit(folder / "data", "train", 4000, bytes, shards));
  ATTUNE_RETURN_IF_ERROR(WriteSplit(folder / "data", "validation", 10, bytes, shards));
  const json manifest = {
      {"name", "data"}, {"version", 1}, {"checksum", Sha256Hex(shards.dump())}, {"shards", shards}};
  return WriteFileAtomically(folder / "data" / "manifest.json", manifest.dump());
}

TrainTask Task(const fs::path& folder, const Flags& flags) {
  const fs::path model = flags.Text("model", (folder / "model").string());
  TrainTask task;
  task.data.base = {.reference = model.filename().string(), .path = model, .format = "huggingface"};
  task.data.datasets = {{.reference = "data@1", .path = folder / "data"}};
  task.data.token_cache = folder / "cache";
  task.data.train = {.epochs = 1000,
                     .max_steps = flags.Number("steps", 4) + flags.Number("discard", 0),
                     .sequence_length = flags.Number("length", 512),
                     .global_batch = flags.Number("global-batch", 2),
                     .micro_batch = flags.Number("micro-batch", 1),
                     .precision = flags.Text("precision", "float32"),
                     .threads = flags.Number("threads", 2),
                     .activation_checkpointing = flags.Number("checkpointing", 0) != 0,
                     .ema_decay = std::atof(flags.Text("ema-decay", "0").c_str())};
  task.method = {.type = flags.Text("method", "full"),
                 .dropout = std::atof(flags.Text("dropout", "0").c_str())};
  task.optimizer.name = flags.Text("optimizer", "adamw");
  task.optimizer.momentum = std::atof(flags.Text("momentum", "0").c_str());
  task.evaluate.max_examples = 1;
  task.checkpoint.every_steps = flags.Number("checkpoint-every", 0);
  task.run_directory = folder / "run";
  return task;
}

class Timer : public Observer {
 public:
  explicit Timer(int stop_after) : stop_after_(stop_after) {}
  void OnStep(const StepReport& report) override {
    std::printf(
        "step %d: loss %.4f, %.4f s (data %.4f, forward %.4f, backward %.4f, optimizer %.4f, sync "
        "%.4f), %.2f s since the last\n",
        report.step, report.loss, report.seconds, report.seconds_data, report.seconds_forward,
        report.seconds_backward, report.seconds_optimizer, report.seconds_sync, Lap());
    steps_ = report.step;
    if (report.step > 1)
      best_ = std::max(best_, static_cast<double>(report.tokens) / report.seconds);
  }
  void OnCheckpoint(int step, const fs::path&) override {
    std::printf("checkpoint of step %d\n", step);
  }
  // Asked before each step, and done after it.
  StopRequest ShouldStop() override {
    return steps_ + 1 == stop_after_ ? StopRequest::kStop : StopRequest::kNone;
  }
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }
  double best() const { return best_; }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  double best_ = 0;
  const int stop_after_;
  int steps_ = 0;
};

double PeakBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) * 1024;
  }
  return 0;
}

int Run(const fs::path& folder, const Flags& flags) {
  const TrainTask task = Task(folder, flags);
  const bool discard = flags.Number("discard", 0) != 0;
  Timer observer(discard ? task.data.train.max_steps - 1 : 0);
  const auto plan = Plan(task, 1, observer);
  if (!plan.ok()) return Fail(plan.status());
  observer.Lap();
  const auto trained = Train(task, {.device = flags.Text("device", "cpu")}, nullptr, observer);
  const bool stopped = discard && trained.status().code() == StatusCode::kCancelled;
  if (!trained.ok() && !stopped) return Fail(trained.status());
  const MemoryPrediction& memory = plan->memory;
  const double predicted = static_cast<double>(memory.total()), peak = PeakBytes();
  std::printf("best step %.1f tokens/s; the last was over %.2f s before the end\n", observer.best(),
              observer.Lap());
  std::printf(
      "predicted %.3f GB (weights %.3f, gradients %.3f, optimizer %.3f, activations %.3f, "
      "overhead %.3f), peak %.3f GB, ratio %.3f\n",
      predicted / 1e9, memory.weights / 1e9, memory.gradients / 1e9, memory.optimizer / 1e9,
      memory.activations / 1e9, memory.overhead / 1e9, peak / 1e9, predicted / peak);
  return 0;
}

int Main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what != "make" && what != "run") {
    std::fprintf(stderr, "usage: train_bench make|run FOLDER [FLAGS]; see its source\n");
    return 2;
  }
  const Flags flags(argc, argv);
  if (what == "run") return Run(argv[2], flags);
  const Status made = Make(argv[2], flags);
  return made.ok() ? 0 : Fail(made);
}

}  // namespace
}  // namespace attune::engine

int main(int argc, char** argv) {
  return attune::engine::Main(argc, argv);
}
