#include "common/scoring/metrics.h"

#include <algorithm>
#include <iterator>

namespace attune::scoring {
namespace {

constexpr char kLoss[] = "loss";
constexpr char kValidationLoss[] = "validation_loss";

struct Named {
  std::string_view name;
  MetricKind kind;
};
constexpr Named kMetrics[] = {
    {kLoss, MetricKind::kLoss},
    {"perplexity", MetricKind::kLoss},
    {"exact_match", MetricKind::kOverlap},
    {"token_f1", MetricKind::kOverlap},
    {"rouge_l", MetricKind::kOverlap},
    {"regex", MetricKind::kRule},
    {"json_schema", MetricKind::kRule},
    {"judge", MetricKind::kJudge},
    {"accuracy", MetricKind::kLabels},
    {"macro_f1", MetricKind::kLabels},
    {"calibration_error", MetricKind::kLabels},
};

}  // namespace

std::optional<MetricKind> KindOfMetric(std::string_view name) {
  const auto found = std::ranges::find(kMetrics, name, &Named::name);
  if (found == std::end(kMetrics)) return std::nullopt;
  return found->kind;
}

std::string MetricNames() {
  std::string names;
  for (const Named& metric : kMetrics) {
    names += (names.empty() ? "" : ", ") + std::string(metric.name);
    if (metric.name == kLoss) names += std::string(" (or ") + kValidationLoss + ")";
  }
  return names;
}

std::string MetricOf(const std::string& written) {
  return written == kValidationLoss ? kLoss : written;
}

}  // namespace attune::scoring
