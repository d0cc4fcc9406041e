#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/utf8.h"
#include "worker/trainer/task_runner.h"

namespace attune::trainer {

void TaskObserver::Report(v1::TrainerMessage message) {
  reports_->Append(std::move(message));
  changed_();
}

void TaskObserver::OnProgress(const engine::Progress& progress) {
  v1::TaskProgress message;
  message.set_task_id(task_.task_id());
  message.set_phase(ToValidUtf8(progress.phase));
  message.set_done(progress.done);
  message.set_total(progress.total);
  message.set_own(progress.own);
  message.set_step(static_cast<uint32_t>(std::max(0, progress.step)));
  message.set_total_steps(static_cast<uint32_t>(std::max(0, progress.total_steps)));
  {
    MutexLock lock(&mutex_);
    progress_ = std::move(message);
  }
  changed_();
}

void TaskObserver::OnStep(const engine::StepReport& step) {
  step_ = step.step;
  if (!first_rank()) return;
  v1::TrainerMessage message;
  *message.mutable_metrics() = ToMetricPoint(step, task_);
  Report(std::move(message));
}

void TaskObserver::OnWarning(const std::string& message) {
  const std::string text = ToValidUtf8(message);
  spdlog::warn("{}", text);
  if (!first_rank()) return;
  v1::TrainerMessage report;
  report.mutable_warning()->set_task_id(task_.task_id());
  report.mutable_warning()->set_message(text);
  Report(std::move(report));
}

void TaskObserver::OnEvaluation(const engine::EvaluationReport& evaluation) {
  if (!first_rank()) return;
  v1::TrainerMessage message;
  *message.mutable_metrics() = ToMetricPoint(evaluation, task_);
  Report(std::move(message));
}

void TaskObserver::OnCheckpoint(int step, const std::filesystem::path& path) {
  if (!first_rank()) return;
  v1::TrainerMessage message;
  message.mutable_checkpoint()->set_task_id(task_.task_id());
  message.mutable_checkpoint()->set_step(static_cast<uint32_t>(step));
  message.mutable_checkpoint()->set_path(path.string());
  Report(std::move(message));
}

void TaskObserver::ReportOutput(const std::string& text) {
  // A line may be longer than a message; the coordinator joins the pieces.
  constexpr size_t kPieceBytes = 1 << 20;
  for (size_t start = 0; start < text.size(); start += kPieceBytes) {
    v1::TrainerMessage message;
    message.mutable_output()->set_data(text.substr(start, kPieceBytes));
    Report(std::move(message));
  }
}

void TaskObserver::OnOutput(const std::string& line) {
  TellPieces();
  ReportOutput(line + "\n");
}

void TaskObserver::OnText(size_t prompt, const std::string& piece) {
  constexpr std::chrono::milliseconds kEvery{300};
  pieces_[prompt] += piece;
  if (std::chrono::steady_clock::now() - pieces_told_ >= kEvery) TellPieces();
}

void TaskObserver::TellPieces() {
  std::string lines;
  for (const auto& [prompt, piece] : std::exchange(pieces_, {})) {
    const nlohmann::ordered_json line = {{"prompt_index", prompt}, {"piece", ToValidUtf8(piece)}};
    lines += line.dump() + "\n";
  }
  pieces_told_ = std::chrono::steady_clock::now();
  ReportOutput(lines);
}

std::optional<v1::TaskProgress> TaskObserver::TakeProgress() {
  MutexLock lock(&mutex_);
  return std::exchange(progress_, std::nullopt);
}

}  // namespace attune::trainer
