#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/group.h"
#include "worker/engine/tasks/answer_text.h"
#include "worker/engine/tasks/embed_prompts.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/label.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/prompt_tokens.h"

namespace attune::engine {
namespace {

using nlohmann::json;

std::string Dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Status CheckTask(const GenerateTask& task) {
  if (task.max_tokens < 1)
    return InvalidArgument("max_tokens must be at least 1").WithField("max_tokens");
  if (!(task.temperature >= 0))
    return InvalidArgument("temperature must not be negative").WithField("temperature");
  if (task.top_k < 0) return InvalidArgument("top_k must not be negative").WithField("top_k");
  if (!(task.top_p > 0 && task.top_p <= 1))
    return InvalidArgument("top_p must be in (0, 1]").WithField("top_p");
  if (!task.precision.empty() && task.precision != "float32" && task.precision != "bfloat16")
    return InvalidArgument("precision must be float32 or bfloat16").WithField("precision");
  if (task.batch < 1) return InvalidArgument("batch must be at least 1").WithField("batch");
  if (std::ranges::any_of(task.stop, &std::string::empty))
    return InvalidArgument("a stop text must not be empty").WithField("stop");
  return Status();
}

// Who answers some of the prompts: the task's model, or one of its adapters. Each has a chat
// template and end tokens of its own.
struct Answerer {
  std::string adapter;    // as the model is to use it
  std::string reference;  // of the registry
  text::TextAssets text;
};

// A prompt, and the room that the model leaves its answer.
struct Asked {
  const Answerer* by;
  LanguageModel::GeneratePrompt prompt;
};

// By what prompts call them. The model has all of them then, and is seen with its own adapter or
// none.
Result<std::map<std::string, Answerer>> LoadAnswerers(LanguageModel& model,
                                                      const GenerateTask& task) {
  std::map<std::string, Answerer> answerers;
  ATTUNE_ASSIGN_OR_RETURN(text::TextAssets text, LoadModelText(task.model));
  const std::string own = model.has_adapter() ? "default" : "";
  answerers[""] = {own, task.model.reference, std::move(text)};
  for (const ModelFiles& adapter : task.adapters) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> labels, LabelsOfAdapter(adapter.path));
    if (!labels.empty()) {
      return InvalidArgument("the adapter " + adapter.reference +
                             " tells labels apart: ask it alone, it has a head of its own")
          .WithField("adapter");
    }
    ATTUNE_RETURN_IF_ERROR(model.AddAdapter(adapter.reference, adapter));
    ATTUNE_ASSIGN_OR_RETURN(text, LoadModelText(adapter));
    answerers[adapter.reference] = {adapter.reference, adapter.reference, std::move(text)};
  }
  return answerers;
}

Result<Asked> AskedOf(LanguageModel& model, const Answerer& by, const GenerateTask& task,
                      const Prompt& prompt) {
  ATTUNE_RETURN_IF_ERROR(model.UseAdapter(by.adapter));  // a prompt's rows leave less room
  ATTUNE_ASSIGN_OR_RETURN(std::vector<uint32_t> ids, EncodePrompt(by.text, task, prompt));
  const int64_t room = model.max_positions() - static_cast<int64_t>(ids.size());
  if (room < 1) {
    return InvalidArgument("the prompt has " + std::to_string(ids.size()) +
                           " tokens, the model takes " + std::to_string(model.max_positions()));
  }
  return Asked{&by, {std::move(ids), static_cast<int>(std::min<int64_t>(task.max_tokens, room))}};
}

Result<std::vector<Asked>> EncodePrompts(LanguageModel& model,
                                         const std::map<std::string, Answerer>& answerers,
                                         const GenerateTask& task) {
  std::vector<Asked> all;
  for (const Prompt& prompt : task.prompts) {
    const std::string which = "prompt " + std::to_string(all.size() + 1);
    const auto by = answerers.find(prompt.adapter);
    if (by == answerers.end()) {
      return InvalidArgument(which + " names " + prompt.adapter + ", which is not loaded");
    }
    auto asked = AskedOf(model, by->second, task, prompt);
    if (!asked.ok()) return asked.status().WithContext(which);
    all.push_back(std::move(*asked));
  }
  return all;
}

// Answers as they come. Lines are reported in the order of the prompts: one that is answered early
// waits for those before it.
class AnswerReports {
 public:
  AnswerReports(const GenerateTask& task, const std::vector<Asked>& asked, Observer& observer)
      : task_(task), asked_(asked), observer_(observer), lines_(asked.size()) {
    for (const Asked& prompt : asked) {
      answers_.emplace_back(prompt.by->text.tokenizer.get(), &task.stop, task.stream);
    }
    Progress();
  }

  // Whether the answer goes on.
  bool OnToken(size_t prompt, uint32_t token) {
    if (observer_.ShouldStop() != StopRequest::kNone) {
      status_ = Cancelled("generation stopped as asked");
      return false;
    }
    const auto goes_on = answers_[prompt].Add(token);
    if (!goes_on.ok()) status_ = goes_on.status();
    if (task_.stream) Show(prompt, answers_[prompt].TakePiece());
    return status_.ok() && *goes_on;
  }

  // Whether generation does.
  bool OnEnd(size_t prompt) {
    if (status_.ok()) status_ = Finish(prompt);
    return status_.ok();
  }

  const Status& status() const { return status_; }

 private:
  void Show(size_t prompt, const std::string& piece) {
    if (!piece.empty()) observer_.OnText(prompt, piece);
  }

  Status Finish(size_t prompt) {
    AnswerText& answer = answers_[prompt];
    ATTUNE_ASSIGN_OR_RETURN(const std::string whole, answer.Finish());
    if (task_.stream) Show(prompt, answer.TakePiece());
    const bool full = static_cast<int>(answer.tokens()) == asked_[prompt].prompt.max_tokens;
    json line = {{"text", whole},
                 {"tokens", answer.tokens()},
                 {"finish", full && !answer.stopped() ? "length" : "stop"}};
    const Prompt& source = task_.prompts[prompt];
    if (source.messages.empty()) {
      line["prompt"] = source.text;
    } else {
      line["messages"] = json::parse(source.messages);
    }
    if (!task_.adapters.empty()) line["model"] = asked_[prompt].by->reference;
    lines_[prompt] = Dump(line);
    ++done_;
    for (; told_ < lines_.size() && lines_[told_]; ++told_) {
      observer_.OnOutput(*std::exchange(lines_[told_], std::string()));
    }
    Progress();
    return Status();
  }

  void Progress() {
    observer_.OnProgress({.phase = "generating",
                          .done = static_cast<double>(done_),
                          .total = static_cast<double>(asked_.size())});
  }

  const GenerateTask& task_;
  const std::vector<Asked>& asked_;
  Observer& observer_;
  std::vector<AnswerText> answers_;
  std::vector<std::optional<std::string>> lines_;  // of what was answered
  size_t done_ = 0, told_ = 0;
  Status status_;
};

// The prompts of one answerer.
Status AnswerSome(LanguageModel& model, const Answerer& by, const std::vector<Asked>& asked,
                  const GenerateTask& task, AnswerReports* reports) {
  std::vector<size_t> numbers;  // in the task
  std::vector<LanguageModel::GeneratePrompt> prompts;
  for (size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].by != &by) continue;
    numbers.push_back(i);
    prompts.push_back(asked[i].prompt);
  }
  if (prompts.empty()) return Status();
  const LanguageModel::GenerateOptions options{.temperature = task.temperature,
                                               .top_k = task.top_k,
                                               .top_p = task.top_p,
                                               .seed = task.seed,
                                               .end_ids = by.text.end_ids,
                                               .batch = task.batch};
  const LanguageModel::AnswerListener listener{
      .on_token = [&](size_t i, uint32_t token) { return reports->OnToken(numbers[i], token); },
      .on_end = [&](size_t i) { return reports->OnEnd(numbers[i]); }};
  ATTUNE_RETURN_IF_ERROR(model.UseAdapter(by.adapter));
  ATTUNE_RETURN_IF_ERROR(model.GenerateAll(prompts, options, listener));
  return reports->status();
}

// One answerer after the other, for the model is seen with one adapter at a time.
Status AnswerPrompts(LanguageModel& model, const GenerateTask& task, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(const auto answerers, LoadAnswerers(model, task));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Asked> asked, EncodePrompts(model, answerers, task));
  AnswerReports reports(task, asked, observer);
  for (const auto& [name, answerer] : answerers) {
    ATTUNE_RETURN_IF_ERROR(AnswerSome(model, answerer, asked, task, &reports));
  }
  return Status();
}

// What a model says of a prompt: an answer, a label or an embedding.
Result<ObjectiveKind> KindOfAnswers(const GenerateTask& task) {
  ATTUNE_ASSIGN_OR_RETURN(const Objective made_for, ResolveObjective({}, task.model));
  const ObjectiveKind kind = KindOf(made_for);
  const bool labels = kind == ObjectiveKind::kClassification;
  if (!labels && kind != ObjectiveKind::kEmbedding) return kind;
  const std::string what =
      "the model " + task.model.reference + (labels ? " labels texts" : " embeds texts");
  if (!task.adapters.empty()) {
    return InvalidArgument(what + ": adapters beside it cannot answer").WithField("adapter");
  }
  const bool talks =
      std::ranges::any_of(task.prompts, [](const Prompt& p) { return !p.messages.empty(); });
  if (talks || !task.system.empty()) return InvalidArgument(what + ", not messages");
  return kind;
}

}  // namespace

Status Generate(const GenerateTask& task, Observer& observer) {
  ATTUNE_RETURN_IF_ERROR(CheckTask(task));
  return Guarded([&]() -> Status {
    if (task.threads > 0) at::set_num_threads(task.threads);
    observer.OnProgress({.phase = "loading"});
    ATTUNE_ASSIGN_OR_RETURN(const at::Device device, OpenDevice(task.device));
    ATTUNE_ASSIGN_OR_RETURN(const ObjectiveKind kind, KindOfAnswers(task));
    const bool labels = kind == ObjectiveKind::kClassification;
    const bool embeds = kind == ObjectiveKind::kEmbedding;
    std::string precision = task.precision;
    if (precision.empty()) {
      ATTUNE_ASSIGN_OR_RETURN(precision, ServedPrecision(task.model, device.is_cuda()));
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model,
                            LanguageModel::Load(task.model, {.precision = precision,
                                                             .device = device.str(),
                                                             .frozen = true,
                                                             .encoders = labels || embeds}));
    model->SetTraining(false, 0);
    if (!labels && !embeds) return AnswerPrompts(*model, task, observer);
    ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.model));
    return labels ? LabelPrompts(*model, text, task, device, observer)
                  : EmbedPrompts(*model, text, task, device, observer);
  });
}

}  // namespace attune::engine
