#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/group.h"
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
  return Status();
}

Result<json> Answer(LanguageModel& model, const text::TextAssets& text, const GenerateTask& task,
                    const Prompt& prompt, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<uint32_t> ids, EncodePrompt(text, task, prompt));
  const int64_t room = model.max_positions() - static_cast<int64_t>(ids.size());
  if (room < 1) {
    return InvalidArgument("the prompt has " + std::to_string(ids.size()) +
                           " tokens, the model takes " + std::to_string(model.max_positions()));
  }
  LanguageModel::GenerateOptions options{
      .max_tokens = static_cast<int>(std::min<int64_t>(task.max_tokens, room)),
      .temperature = task.temperature,
      .top_k = task.top_k,
      .top_p = task.top_p,
      .seed = task.seed,
      .end_ids = text.end_ids};
  std::vector<uint32_t> answer;
  bool stopped = false;
  ATTUNE_RETURN_IF_ERROR(model.Generate(ids, options, [&](uint32_t id) {
    answer.push_back(id);
    stopped = observer.ShouldStop() != StopRequest::kNone;
    return !stopped;
  }));
  if (stopped) return Cancelled("generation stopped as asked");
  ATTUNE_ASSIGN_OR_RETURN(const std::string decoded,
                          text.tokenizer->Decode(answer, /*skip_special=*/true));
  const bool full = static_cast<int>(answer.size()) == options.max_tokens;
  json line = {{"text", decoded}, {"tokens", answer.size()}, {"finish", full ? "length" : "stop"}};
  if (prompt.messages.empty()) {
    line["prompt"] = prompt.text;
  } else {
    line["messages"] = json::parse(prompt.messages);
  }
  return line;
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
    const double total = static_cast<double>(task.prompts.size());
    for (size_t i = 0; i < task.prompts.size(); ++i) {
      observer.OnProgress({.phase = "generating", .done = static_cast<double>(i), .total = total});
      auto line = Answer(*model, text, task, task.prompts[i], observer);
      if (!line.ok()) return line.status().WithContext("prompt " + std::to_string(i + 1));
      observer.OnOutput(Dump(*line));
    }
    observer.OnProgress({.phase = "generating", .done = total, .total = total});
    return Status();
  });
}

}  // namespace attune::engine
