#pragma once

// How the outputs of a merged model, as it was written, differ from those of its base with the
// adapter on.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "worker/engine/engine.h"

namespace attune::engine {

// Runs both, one after the other, on the same examples: of the validation splits of the task's
// data sets, as training reads them, or else sentences of our own. Both compute in float32 from the
// weights that they have, so that what differs is the merge and its rounding. Not more than 64
// examples and 2,048 tokens, and as many rows of logits as fit 256 MB.
//
// {"examples", "tokens", "source"} and, of a model that predicts tokens, over those that it is to
// predict, which "tokens" counts then,
// {"loss_before", "loss_after", "kl" (mean of KL(before || after), in nats a token),
// "same_top_token" (share), "largest_logit_difference"}; of a classifier {"same_label" (share),
// "largest_logit_difference"}; of another encoder, whose outputs are the means of hidden states,
// {"least_cosine", "largest_difference"}. Where it could not be found out, after a warning,
// {"error"}: it is no reason to take back an export.
nlohmann::json HowMoved(const ExportTask& task, const std::filesystem::path& merged,
                        Observer& observer);

}  // namespace attune::engine
