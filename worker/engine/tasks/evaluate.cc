#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/utf8.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/kernels/gpu_kernels.h"
#include "worker/engine/parallel/group.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/measured_model.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/suite_run.h"
#include "worker/engine/tasks/weights_output.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSequenceLengthMax = 8192;
constexpr size_t kTextBytes = 2000;
constexpr int kEmbeddedTogether = 32;  // pairs, of which each text stands against the others

std::string Dump(const Json& line) {
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string DeviceName(const at::Device& device) {
  const kernels::GpuKernels* const gpu = device.is_cuda() ? kernels::Gpu() : nullptr;
  return gpu == nullptr ? device.str() : gpu->name(device.index());
}

struct Smoke {
  const SmokePrompt* prompt;
  std::unique_ptr<scoring::Validator> must_match, must_not_match;
};

Result<Smoke> MakeSmoke(const SmokePrompt& prompt) {
  Smoke smoke{.prompt = &prompt};
  if (!prompt.must_match.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(smoke.must_match, scoring::MakeSearchValidator(prompt.must_match));
  }
  if (!prompt.must_not_match.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(smoke.must_not_match,
                            scoring::MakeSearchValidator(prompt.must_not_match));
  }
  return smoke;
}

// Why the answer does not pass; empty when it does.
std::string Complaint(const Smoke& smoke, const std::string& answer) {
  if (smoke.must_match && smoke.must_match->Score(answer) == 0) {
    return "nothing in the answer matches '" + smoke.prompt->must_match + "'";
  }
  if (smoke.must_not_match && smoke.must_not_match->Score(answer) != 0) {
    return "something in the answer matches '" + smoke.prompt->must_not_match + "'";
  }
  const bool any = smoke.must_match == nullptr;
  return any && scoring::Trimmed(answer).empty() ? "the answer is empty" : "";
}

Result<std::string> SmokeLine(const Smoke& smoke, const text::TextAssets& assets,
                              Answers& answers) {
  ATTUNE_ASSIGN_OR_RETURN(const PromptText prompt, UserPrompt(assets, smoke.prompt->prompt));
  ATTUNE_ASSIGN_OR_RETURN(std::string answer, answers.Generate(prompt, smoke.prompt->max_tokens));
  answer = ToValidUtf8(answer);
  const std::string why = Complaint(smoke, answer);
  return Dump({{"smoke",
                {{"prompt", Shorten(smoke.prompt->prompt, kTextBytes)},
                 {"answer", Shorten(answer, kTextBytes)},
                 {"passed", why.empty()},
                 {"why", why}}}});
}

// Made for one task: what it measures, checked, then with a model.
class Evaluation {
 public:
  Evaluation(const EvaluateTask* task, Observer* observer) : task_(task), observer_(observer) {}

  Status Run() {
    ATTUNE_RETURN_IF_ERROR(Prepare());
    ATTUNE_ASSIGN_OR_RETURN(const MeasuredModel measured, MeasuredModel::Make(*task_, *observer_));
    ATTUNE_RETURN_IF_ERROR(Load(measured.files()));
    Answers answers(model_.get(), &tokenize_.assets, observer_);
    const EvaluationModel model{model_.get(), &tokenize_, &answers, device_, objective_.get()};
    for (SuiteRun& suite : suites_) {
      ATTUNE_RETURN_IF_ERROR(suite.Run(model, *observer_, [&](size_t rows) { Say(done_ + rows); }));
      done_ += suite.rows();
    }
    for (const Smoke& smoke : smoke_) {
      ATTUNE_ASSIGN_OR_RETURN(const std::string line, SmokeLine(smoke, tokenize_.assets, answers));
      observer_->OnOutput(line);
      Say(++done_);
    }
    if (answers.without_room() > 0) {
      observer_->OnWarning(std::to_string(answers.without_room()) +
                           " prompts are too long for the model to answer: they count as answered "
                           "by nothing");
    }
    return Conclude(measured, answers);
  }

 private:
  Status Prepare() {
    if (task_->suites.empty() && task_->smoke.empty()) {
      return InvalidArgument("there is nothing to measure: no suite and no smoke prompt");
    }
    if (!task_->dtype.empty()) ATTUNE_RETURN_IF_ERROR(CheckDtype(task_->dtype));
    for (const SmokePrompt& prompt : task_->smoke) {
      ATTUNE_ASSIGN_OR_RETURN(Smoke smoke, MakeSmoke(prompt));
      smoke_.push_back(std::move(smoke));
    }
    suites_.reserve(task_->suites.size());
    for (const Suite& suite : task_->suites) {
      ATTUNE_RETURN_IF_ERROR(suites_.emplace_back(&suite).Prepare(task_->judges));
      total_ += suites_.back().rows();
    }
    total_ += smoke_.size();
    return Status();
  }

  Status Load(const ModelFiles& files) {
    observer_->OnProgress({.phase = "loading"});
    ATTUNE_ASSIGN_OR_RETURN(device_, OpenDevice(task_->device));
    ATTUNE_ASSIGN_OR_RETURN(tokenize_.assets, LoadModelText(files));
    ATTUNE_ASSIGN_OR_RETURN(precision_, ServedPrecision(files, device_.is_cuda()));
    ATTUNE_ASSIGN_OR_RETURN(tokenize_.objective, ResolveObjective({}, files));
    const ObjectiveKind kind = KindOf(tokenize_.objective);
    const bool answers = TeachesAnswers(kind);
    if (!answers && !task_->smoke.empty()) {
      return InvalidArgument("the model " + files.reference +
                             " is an encoder or a classifier, which answers no smoke prompt");
    }
    ATTUNE_ASSIGN_OR_RETURN(model_, LanguageModel::Load(files, {.precision = precision_,
                                                                .device = device_.str(),
                                                                .frozen = true,
                                                                .encoders = !answers}));
    model_->SetTraining(false, 0);
    tokenize_.vocabulary_size = model_->vocabulary_size();
    tokenize_.sequence_length =
        static_cast<size_t>(std::min(model_->max_positions(), kSequenceLengthMax));
    if (answers || kind == ObjectiveKind::kClassification) return Status();
    ObjectiveParts parts{.objective = tokenize_.objective,
                         .model = *model_,
                         .device = device_,
                         .global_batch = kEmbeddedTogether};
    if (kind == ObjectiveKind::kMaskedLm) {
      ATTUNE_ASSIGN_OR_RETURN(parts.mask_token, MaskToken(tokenize_.assets, files.reference));
    }
    objective_ = MakeObjective(parts);
    return Status();
  }

  void Say(size_t done) {
    observer_->OnProgress({.phase = "evaluating",
                           .done = static_cast<double>(done),
                           .total = static_cast<double>(total_)});
  }

  Status Conclude(const MeasuredModel& measured, const Answers& answers) {
    observer_->OnProgress({.phase = "checking the artifact"});
    ATTUNE_ASSIGN_OR_RETURN(const ArtifactFacts facts, measured.Facts());
    observer_->OnOutput(Dump({{"artifact",
                               {{"bytes", facts.bytes},
                                {"parameters", facts.parameters},
                                {"dtype", facts.dtype},
                                {"checksum", facts.checksum},
                                {"tokens_per_second", answers.tokens_per_second()},
                                {"first_token_seconds", answers.first_token_seconds()},
                                {"device", DeviceName(device_)},
                                {"precision", precision_}}}}));
    return Status();
  }

  const EvaluateTask* const task_;
  Observer* const observer_;
  std::vector<SuiteRun> suites_;
  std::vector<Smoke> smoke_;
  at::Device device_ = at::kCPU;
  std::string precision_;  // of the computation
  TokenizeOptions tokenize_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<ObjectiveFunction> objective_;  // see EvaluationModel
  size_t done_ = 0, total_ = 0;
};

}  // namespace

Status Evaluate(const EvaluateTask& task, Observer& observer) {
  return Guarded([&]() -> Status {
    if (task.threads > 0) at::set_num_threads(task.threads);
    return Evaluation(&task, &observer).Run();
  });
}

}  // namespace attune::engine
