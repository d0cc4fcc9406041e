#include "worker/engine/tasks/label.h"

#include <nlohmann/json.hpp>

#include "worker/engine/eval/measure.h"

namespace attune::engine {

Status LabelPrompts(LanguageModel& model, const text::TextAssets& text, const GenerateTask& task,
                    const at::Device& device, Observer& observer) {
  const auto proceed = [&]() -> Status {
    if (observer.ShouldStop() == StopRequest::kNone) return Status();
    return Cancelled("stopped as asked");
  };
  const auto total = static_cast<double>(task.prompts.size());
  for (size_t i = 0; i < task.prompts.size(); ++i) {
    observer.OnProgress({.phase = "labelling", .done = static_cast<double>(i), .total = total});
    const Prompt& prompt = task.prompts[i];
    ATTUNE_ASSIGN_OR_RETURN(auto ids, text.tokenizer->EncodeBatch({prompt.text}, true, 1));
    std::vector<uint32_t>& tokens = ids[0];
    const auto most = static_cast<size_t>(model.max_positions());
    if (tokens.size() > most) {  // what ends an encoder's text stays
      tokens[most - 1] = tokens.back();
      tokens.resize(most);
    }
    if (tokens.empty()) return InvalidArgument("prompt " + std::to_string(i + 1) + " is empty");
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<LabelledExample> labelled,
        LabelTexts(model, {std::span<const uint32_t>(tokens)}, device, proceed));
    const std::string& label = model.labels()[labelled[0].best];
    nlohmann::ordered_json line = {{"prompt", prompt.text}, {"text", label}, {"label", label}};
    for (size_t k = 0; k < model.labels().size(); ++k) {
      line["probabilities"][model.labels()[k]] = labelled[0].probabilities[k];
    }
    observer.OnOutput(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  observer.OnProgress({.phase = "labelling", .done = total, .total = total});
  return Status();
}

}  // namespace attune::engine
