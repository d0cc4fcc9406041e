#include "worker/engine/tasks/answers.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<PromptText> UserPrompt(const text::TextAssets& assets, const std::string& text) {
  if (assets.chat_template == nullptr) return PromptText{text, true};
  const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", text}}};
  ATTUNE_ASSIGN_OR_RETURN(std::string rendered,
                          assets.chat_template->Render(messages.dump(), true));
  return PromptText{std::move(rendered), false};
}

Result<std::string> Answers::Generate(const PromptText& prompt, int max_tokens) {
  const bool begun = !assets_->bos_token.empty() && prompt.text.starts_with(assets_->bos_token);
  ATTUNE_ASSIGN_OR_RETURN(const text::Encoding encoding,
                          assets_->tokenizer->Encode(prompt.text, prompt.add_special && !begun));
  const int64_t room = model_->max_positions() - static_cast<int64_t>(encoding.ids.size());
  if (room < 1 || encoding.ids.empty()) {
    ++without_room_;
    return std::string();
  }
  const LanguageModel::GenerateOptions options{
      .max_tokens = static_cast<int>(std::min<int64_t>(max_tokens, room)),
      .end_ids = assets_->end_ids};
  std::vector<uint32_t> answer;
  bool stopped = false;
  const Clock::time_point start = Clock::now();
  ATTUNE_RETURN_IF_ERROR(model_->Generate(encoding.ids, options, [&](uint32_t id) {
    if (answer.empty()) first_token_seconds_.push_back(SecondsSince(start));
    answer.push_back(id);
    stopped = observer_->ShouldStop() != StopRequest::kNone;
    return !stopped;
  }));
  if (stopped) return Cancelled("stopped while generating");
  if (!answer.empty()) {
    seconds_ += SecondsSince(start);
    tokens_ += static_cast<double>(answer.size());
  }
  return assets_->tokenizer->Decode(answer, /*skip_special=*/true);
}

double Answers::first_token_seconds() const {
  if (first_token_seconds_.empty()) return 0;
  std::vector<double> sorted = first_token_seconds_;
  std::ranges::sort(sorted);
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

}  // namespace attune::engine
