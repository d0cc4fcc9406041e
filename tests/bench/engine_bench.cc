// Tokens per second and peak memory of forward and backward on packed sequences; not a test.
//
// usage: engine_bench MODEL [--method lora|full] [--length 512] [--sequences 1] [--steps 4]
// [--threads 2]
//                     [--precision float32|bfloat16] [--checkpointing] [--targets 1.0] [--dropout
//                     0]
//
// "CPU tokens/s" divides by the processor time of all threads: it is what one core does, whatever
// else runs on the machine.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string_view>

#include "tests/support/packed_batch.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {
namespace {

struct Arguments {
  std::string model;
  std::string method = "lora";
  LoadOptions load;
  int64_t length = 512, sequences = 1;
  int steps = 4, threads = 2;
  double targets = 1, dropout = 0;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--checkpointing") {
      arguments.load.activation_checkpointing = true;
    } else if (!name.starts_with("--")) {
      arguments.model = name;
    } else if (i + 1 < argc) {
      const char* value = argv[++i];
      if (name == "--method") arguments.method = value;
      if (name == "--precision") arguments.load.precision = value;
      if (name == "--length") arguments.length = std::atoll(value);
      if (name == "--sequences") arguments.sequences = std::atoll(value);
      if (name == "--steps") arguments.steps = std::atoi(value);
      if (name == "--threads") arguments.threads = std::atoi(value);
      if (name == "--targets") arguments.targets = std::atof(value);
      if (name == "--dropout") arguments.dropout = std::atof(value);
    }
  }
  return arguments;
}

// Each sequence holds examples of 128 to 255 tokens, or one that is shorter at its end.
PackedBatch RandomBatch(const Arguments& arguments, int64_t vocabulary, std::mt19937_64& random) {
  std::vector<MarkedTokens> examples;
  for (int64_t s = 0; s < arguments.sequences; ++s) {
    for (int64_t rest = arguments.length; rest > 0;) {
      const int64_t length = std::min<int64_t>(rest, 128 + static_cast<int64_t>(random() % 128));
      MarkedTokens example;
      for (int64_t i = 0; i < length; ++i) {
        example.tokens.push_back(
            static_cast<int64_t>(random() % static_cast<uint64_t>(vocabulary)));
        const double draw = static_cast<double>(random() % 1000);
        example.targets.push_back(i > 0 && draw < arguments.targets * 1000 ? 1 : 0);
      }
      rest -= length;
      examples.push_back(std::move(example));
    }
  }
  return PackExamples(examples);
}

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int Run(const Arguments& arguments) {
  at::set_num_threads(arguments.threads);
  ModelFiles files;
  files.reference = files.path = arguments.model;
  files.format = "huggingface";
  Result<std::unique_ptr<LanguageModel>> model = LanguageModel::Load(files, arguments.load);
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", model.status().ToString().c_str());
    return 1;
  }
  Method lora;
  lora.dropout = arguments.dropout;
  if (arguments.method == "lora" && !(*model)->AddLora(lora, 1).ok()) return 1;
  (*model)->SetTraining(true, 1);
  std::mt19937_64 random(1);
  double best_wall = 1e30, best_cpu = 1e30;
  for (int step = 0; step < arguments.steps; ++step) {
    const PackedBatch batch = RandomBatch(arguments, (*model)->vocabulary_size(), random);
    const double wall = WallSeconds(), cpu = CpuSeconds();
    const at::Tensor loss = (*model)->LossSum(batch);
    const double forward_wall = WallSeconds() - wall, forward_cpu = CpuSeconds() - cpu;
    (loss / static_cast<double>(batch.targets.numel())).backward();
    for (auto& [name, parameter] : (*model)->TrainableParameters())
      parameter.mutable_grad().reset();
    const double step_wall = WallSeconds() - wall, step_cpu = CpuSeconds() - cpu;
    best_wall = std::min(best_wall, step_wall);
    best_cpu = std::min(best_cpu, step_cpu);
    std::printf("step %d: loss %.4f  forward %.3f s (cpu %.3f)  all %.3f s (cpu %.3f)\n", step,
                loss.item<double>() / static_cast<double>(batch.targets.numel()), forward_wall,
                forward_cpu, step_wall, step_cpu);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto tokens = static_cast<double>(arguments.length * arguments.sequences);
  std::printf("%s %s: %.1f tokens/s, %.1f CPU tokens/s, peak %.2f GB\n", arguments.method.c_str(),
              arguments.load.precision.c_str(), tokens / best_wall, tokens / best_cpu,
              static_cast<double>(usage.ru_maxrss) / 1e6);
  return 0;
}

}  // namespace
}  // namespace attune::engine

int main(int argc, char** argv) {
  return attune::engine::Run(attune::engine::Parse(argc, argv));
}
