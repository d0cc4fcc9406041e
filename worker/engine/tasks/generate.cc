#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/group.h"
#include "worker/engine/tasks/answer_text.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/label.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

using nlohmann::json;

std::string Dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

// With its keys in the order that the user gave them: templates print it.
Result<std::string> Conversation(const GenerateTask& task, const Prompt& prompt) {
  using Json = nlohmann::ordered_json;
  Json messages = Json::array({Json{{"role", "user"}, {"content", prompt.text}}});
  if (!prompt.messages.empty()) {
    messages = Json::parse(prompt.messages, nullptr, /*allow_exceptions=*/false);
    const bool right = messages.is_array() && !messages.empty() &&
                       std::ranges::all_of(messages, [](const Json& m) { return m.is_object(); });
    if (!right) return InvalidArgument("messages must be an array of objects, and not empty");
  }
  if (!task.system.empty() && messages[0].value("role", Json()) != "system") {
    const Json system = {{"role", "system"}, {"content", task.system}};
    messages.insert(messages.begin(), system);
  }
  return messages.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A chat model gets the prompt as the user's turn; its template writes the special tokens itself.
// Else the tokenizer adds them, unless the text begins with one.
Result<std::vector<uint32_t>> EncodePrompt(const text::TextAssets& text, const GenerateTask& task,
                                           const Prompt& prompt) {
  std::string rendered = prompt.text;
  const bool chat = !task.raw && text.chat_template;
  if (!chat && (!prompt.messages.empty() || !task.system.empty())) {
    return InvalidArgument(task.raw ? "messages and a system message need the chat template, which "
                                      "raw leaves out"
                                    : "messages and a system message need a chat template, which "
                                      "the model has not: give the text of the prompt");
  }
  if (chat) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string messages, Conversation(task, prompt));
    ATTUNE_ASSIGN_OR_RETURN(
        rendered, text.chat_template->Render(messages,
                                             /*add_generation_prompt=*/true, prompt.tools));
  }
  const bool begun = !text.bos_token.empty() && rendered.starts_with(text.bos_token);
  ATTUNE_ASSIGN_OR_RETURN(text::Encoding encoding,
                          text.tokenizer->Encode(rendered, /*add_special=*/!chat && !begun));
  if (encoding.ids.empty())
    return InvalidArgument("the prompt is empty: there is nothing to continue");
  return std::move(encoding.ids);
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

// The prompts' tokens, each with the room that the model leaves its answer.
Result<std::vector<LanguageModel::GeneratePrompt>> EncodePrompts(const LanguageModel& model,
                                                                 const text::TextAssets& text,
                                                                 const GenerateTask& task) {
  std::vector<LanguageModel::GeneratePrompt> prompts;
  for (const Prompt& prompt : task.prompts) {
    const std::string which = "prompt " + std::to_string(prompts.size() + 1);
    auto ids = EncodePrompt(text, task, prompt);
    if (!ids.ok()) return ids.status().WithContext(which);
    const int64_t room = model.max_positions() - static_cast<int64_t>(ids->size());
    if (room < 1) {
      return InvalidArgument(which + ": the prompt has " + std::to_string(ids->size()) +
                             " tokens, the model takes " + std::to_string(model.max_positions()));
    }
    prompts.push_back(
        {std::move(*ids), static_cast<int>(std::min<int64_t>(task.max_tokens, room))});
  }
  return prompts;
}

// Answers as they come. Lines are reported in the order of the prompts: one that is answered early
// waits for those before it.
class AnswerReports {
 public:
  AnswerReports(const GenerateTask& task, const text::TextAssets& text,
                const std::vector<LanguageModel::GeneratePrompt>& prompts, Observer& observer)
      : task_(task), prompts_(prompts), observer_(observer), lines_(prompts.size()) {
    answers_.assign(prompts.size(), AnswerText(text.tokenizer.get(), &task.stop, task.stream));
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
    const bool full = static_cast<int>(answer.tokens()) == prompts_[prompt].max_tokens;
    json line = {{"text", whole},
                 {"tokens", answer.tokens()},
                 {"finish", full && !answer.stopped() ? "length" : "stop"}};
    const Prompt& asked = task_.prompts[prompt];
    if (asked.messages.empty()) {
      line["prompt"] = asked.text;
    } else {
      line["messages"] = json::parse(asked.messages);
    }
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
                          .total = static_cast<double>(prompts_.size())});
  }

  const GenerateTask& task_;
  const std::vector<LanguageModel::GeneratePrompt>& prompts_;
  Observer& observer_;
  std::vector<AnswerText> answers_;
  std::vector<std::optional<std::string>> lines_;  // of what was answered
  size_t done_ = 0, told_ = 0;
  Status status_;
};

Status AnswerPrompts(LanguageModel& model, const text::TextAssets& text, const GenerateTask& task,
                     Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(const auto prompts, EncodePrompts(model, text, task));
  AnswerReports reports(task, text, prompts, observer);
  const LanguageModel::GenerateOptions options{.temperature = task.temperature,
                                               .top_k = task.top_k,
                                               .top_p = task.top_p,
                                               .seed = task.seed,
                                               .end_ids = text.end_ids,
                                               .batch = task.batch};
  const LanguageModel::AnswerListener listener{
      .on_token = [&](size_t prompt, uint32_t token) { return reports.OnToken(prompt, token); },
      .on_end = [&](size_t prompt) { return reports.OnEnd(prompt); }};
  ATTUNE_RETURN_IF_ERROR(model.GenerateAll(prompts, options, listener));
  return reports.status();
}

}  // namespace

Status Generate(const GenerateTask& task, Observer& observer) {
  ATTUNE_RETURN_IF_ERROR(CheckTask(task));
  return Guarded([&]() -> Status {
    if (task.threads > 0) at::set_num_threads(task.threads);
    observer.OnProgress({.phase = "loading"});
    ATTUNE_ASSIGN_OR_RETURN(const at::Device device, OpenDevice(task.device));
    ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.model));
    ATTUNE_ASSIGN_OR_RETURN(const Objective made_for, ResolveObjective({}, task.model));
    const bool labels = KindOf(made_for) == ObjectiveKind::kClassification;
    std::string precision = task.precision;
    if (precision.empty()) {
      ATTUNE_ASSIGN_OR_RETURN(precision, ServedPrecision(task.model, device.is_cuda()));
    }
    ATTUNE_ASSIGN_OR_RETURN(
        const std::unique_ptr<LanguageModel> model,
        LanguageModel::Load(
            task.model,
            {.precision = precision, .device = device.str(), .frozen = true, .encoders = labels}));
    model->SetTraining(false, 0);
    if (labels) return LabelPrompts(*model, text, task, device, observer);
    return AnswerPrompts(*model, text, task, observer);
  });
}

}  // namespace attune::engine
