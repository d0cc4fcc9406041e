#include "worker/engine/tasks/embed_prompts.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "worker/engine/tasks/text_embedder.h"

namespace attune::engine {
namespace {

// What a person sees of it: "[0.0123, -0.0456, ...] 384 numbers".
std::string Shown(const std::vector<float>& embedding) {
  constexpr size_t kShown = 4;
  std::string text = "[";
  for (size_t i = 0; i < std::min(kShown, embedding.size()); ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "%.4f, ", static_cast<double>(embedding[i]));
    text += number;
  }
  return text + "...] " + std::to_string(embedding.size()) + " numbers";
}

}  // namespace

Status EmbedPrompts(LanguageModel& model, const text::TextAssets& text, const GenerateTask& task,
                    const at::Device& device, Observer& observer) {
  const auto proceed = [&]() -> Status {
    if (observer.ShouldStop() == StopRequest::kNone) return Status();
    return Cancelled("stopped as asked");
  };
  ATTUNE_ASSIGN_OR_RETURN(const TextEmbedder embedder,
                          TextEmbedder::Open(task.model, &model, &text));
  const auto total = static_cast<double>(task.prompts.size());
  for (size_t i = 0; i < task.prompts.size(); ++i) {
    observer.OnProgress({.phase = "embedding", .done = static_cast<double>(i), .total = total});
    const std::string& prompt = task.prompts[i].text;
    ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, embedder.Tokenize(prompt));
    if (example.tokens.empty()) {
      return InvalidArgument("prompt " + std::to_string(i + 1) + " is empty");
    }
    std::vector<TokenizedExample> examples;
    examples.push_back(std::move(example));
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<MeasuredExample> measured,
                            embedder.Embed(std::move(examples), device, proceed));
    const std::vector<float>& embedding = measured[0].embedding;
    const nlohmann::ordered_json line = {
        {"prompt", prompt}, {"text", Shown(embedding)}, {"embedding", embedding}};
    observer.OnOutput(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  observer.OnProgress({.phase = "embedding", .done = total, .total = total});
  return Status();
}

}  // namespace attune::engine
