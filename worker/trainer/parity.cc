#include "worker/trainer/parity.h"

#include <cstdio>

#include "common/base/signals.h"
#include "worker/engine/parity.h"

namespace attune::trainer {
namespace {

class Lines final : public engine::Observer {
 public:
  void OnOutput(const std::string& line) override {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  void OnWarning(const std::string& message) override {
    std::fprintf(stderr, "warning: %s\n", message.c_str());
  }
  engine::StopRequest ShouldStop() override {
    return lifeline_.IsCut() ? engine::StopRequest::kStop : engine::StopRequest::kNone;
  }

 private:
  const Lifeline lifeline_ = Lifeline::FromEnvironment();
};

bool Parse(const std::vector<std::string>& arguments, engine::ParityTask* task) {
  for (size_t i = 0; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) return false;
    const std::string &name = arguments[i], &value = arguments[i + 1];
    if (name == "--parity") {
      task->folder = value;
    } else if (name == "--device") {
      task->device = value;
    } else if (name == "--model") {
      task->model = value;
    } else {
      return false;
    }
  }
  return !task->folder.empty();
}

}  // namespace

int RunParity(const std::vector<std::string>& arguments) {
  engine::ParityTask task;
  if (!Parse(arguments, &task)) {
    std::fprintf(stderr,
                 "attune-trainer: is started by a worker, or with --parity FOLDER by `attune "
                 "doctor --parity`\n");
    return 2;
  }
  Lines lines;
  const auto result = engine::CheckParity(task, lines);
  if (result.ok()) return result->ok() ? 0 : 1;
  std::fprintf(stderr, "attune-trainer: %s\n", result.status().message().c_str());
  return 1;
}

}  // namespace attune::trainer
