#include "tools/cli/moved_view.h"

#include "tools/cli/format.h"

namespace attune::cli {

std::string MovedLine(const nlohmann::ordered_json& moved) {
  if (moved.contains("error"))
    return "the merged model was not compared: " + moved.value("error", "");
  auto number = [&](const char* key) { return moved.contains(key) ? moved[key].get<double>() : 0; };
  auto percent = [&](const char* key) { return FormatFixed(100 * number(key), 1) + " %"; };
  const std::string tokens = FormatCount(number("tokens")), texts = FormatCount(number("examples"));
  const std::string source = " of " + moved.value("source", "") + ")";
  if (moved.contains("kl")) {
    return "merged outputs: loss " + FormatLoss(number("loss_before")) + " -> " +
           FormatLoss(number("loss_after")) + ", KL " + FormatShort(number("kl")) +
           " nats, same top token " + percent("same_top_token") + " (" + tokens + " tokens" +
           source;
  }
  if (moved.contains("same_label")) {
    return "merged outputs: same label " + percent("same_label") + ", logits at most " +
           FormatShort(number("largest_logit_difference")) + " apart (" + texts + " texts" + source;
  }
  return "merged outputs: cosine at least " + FormatNumber(number("least_cosine")) +
         ", numbers at most " + FormatShort(number("largest_difference")) + " apart (" + texts +
         " texts" + source;
}

}  // namespace attune::cli
