#pragma once

// Whole tasks on a tiny model with a tokenizer and a dataset of made-up sentences.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "worker/engine/engine.h"

namespace attune::engine::testing {

// Keeps all that it hears. stop_after: asks for `stop` once that step is done.
class Recorder : public Observer {
 public:
  void OnProgress(const Progress& progress) override { last_progress = progress; }
  void OnStep(const StepReport& report) override {
    steps.push_back(report);
    if (on_step) on_step(report);
  }
  void OnEvaluation(const EvaluationReport& report) override { evaluations.push_back(report); }
  void OnCheckpoint(int step, const std::filesystem::path&) override {
    checkpoints.push_back(step);
  }
  void OnOutput(const std::string& line) override { lines.push_back(line); }
  void OnWarning(const std::string& message) override { warnings.push_back(message); }
  void OnText(size_t prompt, const std::string& piece) override {
    pieces.emplace_back(prompt, piece);
  }
  StopRequest ShouldStop() override {
    return static_cast<int>(steps.size()) >= stop_after - 1 ? stop : StopRequest::kNone;
  }

  Progress last_progress;
  std::vector<StepReport> steps;
  std::vector<EvaluationReport> evaluations;
  std::vector<int> checkpoints;
  std::vector<std::string> lines, warnings;
  std::vector<std::pair<size_t, std::string>> pieces;
  int stop_after = 1;
  StopRequest stop = StopRequest::kNone;
  std::function<void(const StepReport&)> on_step;
};

class TaskTest : public ::testing::Test {
 protected:
  // Writes model and dataset and prepares them.
  void SetUp() override;

  // 10 steps of 4 sequences, evaluated every 4. method: a type, or "lora-whole": DoRA, and modules
  // that train as a whole.
  TrainTask Task(const std::string& method, const std::string& run) const;
  ModelFiles Base() const {
    return {.reference = "tiny@1", .path = folder_.path() / "model", .format = "huggingface"};
  }

  struct RankResult {
    Result<TrainResult> result = Status(StatusCode::kInternal, "never ran");
    Recorder observer;
  };
  // Every rank in its own thread. `adjust` may change a rank's task and observer.
  using Adjust = std::function<void(int rank, TrainTask& task, Recorder& observer)>;
  std::vector<RankResult> TrainOn(int world_size, const TrainTask& task,
                                  const Adjust& adjust = nullptr) const;

  TemporaryFolder folder_;
};

std::string ReadAll(const std::filesystem::path& file);

}  // namespace attune::engine::testing
