#pragma once

// The metrics that an evaluation can measure, by name. Links nothing.

#include <optional>
#include <string>
#include <string_view>

namespace attune::scoring {

enum class MetricKind {
  kLoss,     // of the target tokens
  kOverlap,  // of a generated answer against the reference
  kRule,     // of a generated answer alone: a pattern, a JSON schema
  kJudge,    // of a generated answer, by a command of the worker
  kLabels,   // of a label chosen by likelihood
};

std::optional<MetricKind> KindOfMetric(std::string_view name);
// "loss (or validation_loss), perplexity, ...": for messages.
std::string MetricNames();
// The metric that people may call otherwise: "loss" for "validation_loss", which it is on the split
// that is measured unless one says so; else the name as it is.
std::string MetricOf(const std::string& written);
// True for what needs an answer to be generated.
inline bool NeedsAnswer(MetricKind kind) {
  return kind == MetricKind::kOverlap || kind == MetricKind::kRule || kind == MetricKind::kJudge;
}

}  // namespace attune::scoring
