#include "coordinator/jobs/evaluation_checks.h"

#include <algorithm>
#include <set>

#include "common/scoring/metrics.h"
#include "common/scoring/scoring.h"

namespace attune::jobs {
namespace {

constexpr int kSuitesMax = 33;   // 32 skills, as many as gates take, and the goal
constexpr int kMetricsMax = 16;  // of a suite, slices too
constexpr int kSmokeMax = 100;
constexpr int kLabelsMax = 100;
constexpr size_t kNameBytesMax = 63;
constexpr size_t kTextBytesMax = 64 << 10;  // a prompt, a label
constexpr uint32_t kAnswerTokensMax = 4096;
constexpr uint32_t kEmbedTokensMax = 8192;

Status Wrong(const std::string& field, const std::string& message) {
  return InvalidArgument(message).WithField(field);
}

std::string At(const std::string& list, int index) {
  return list + "[" + std::to_string(index) + "]";
}

Status AsField(const Status& status, const std::string& field) {
  return status.ok() ? status : Status(status).WithField(field);
}

Status CheckLabels(const v1::MetricSpec& metric, const std::string& field) {
  if (metric.labels_size() < 2 || metric.labels_size() > kLabelsMax) {
    return Wrong(field + ".labels", metric.name() + " needs labels to choose from: 2 to " +
                                        std::to_string(kLabelsMax) + ", not " +
                                        std::to_string(metric.labels_size()));
  }
  std::set<std::string_view> seen;
  for (const std::string& label : metric.labels()) {
    const std::string_view text = scoring::Trimmed(label);
    if (text.empty() || text.size() > kTextBytesMax || !seen.insert(text).second) {
      return Wrong(field + ".labels",
                   "labels must differ, and none may be empty or longer than 64 KiB");
    }
  }
  return Status();
}

Status CheckMetric(const v1::MetricSpec& metric, const std::string& field) {
  const auto kind = scoring::KindOfMetric(metric.name());
  if (!kind) {
    return Wrong(field + ".name",
                 "there is no metric '" + metric.name() + "'; there are " + scoring::MetricNames());
  }
  if (metric.name() == "regex") {
    if (metric.pattern().empty()) return Wrong(field + ".pattern", "regex needs a pattern");
    return AsField(scoring::MakeRegexValidator(metric.pattern()).status(), field + ".pattern");
  }
  if (metric.name() == "json_schema") {
    if (metric.schema().empty()) return Wrong(field + ".schema", "json_schema needs a schema");
    return AsField(scoring::MakeJsonSchemaValidator(metric.schema()).status(), field + ".schema");
  }
  if (*kind == scoring::MetricKind::kJudge && metric.judge().empty()) {
    return Wrong(field + ".judge",
                 "judge needs a name: one of `judges` in the worker's configuration");
  }
  if (*kind == scoring::MetricKind::kLabels) return CheckLabels(metric, field);
  return Status();
}

// One score of each name, and one choice of a label, is all that a line holds.
Status CheckMetrics(const v1::Suite& suite, const std::string& field) {
  if (suite.metrics_size() > kMetricsMax) {
    return Wrong(field + ".metrics",
                 "a suite takes at most " + std::to_string(kMetricsMax) + " metrics");
  }
  std::set<std::string> names;
  const v1::MetricSpec* labelled = nullptr;
  for (int i = 0; i < suite.metrics_size(); ++i) {
    const v1::MetricSpec& metric = suite.metrics(i);
    const std::string place = At(field + ".metrics", i);
    ATTUNE_RETURN_IF_ERROR(CheckMetric(metric, place));
    if (!names.insert(metric.name()).second) {
      return Wrong(place, "suite '" + suite.name() + "' has " + metric.name() +
                              " twice: measure the second in a suite of its own");
    }
    if (scoring::KindOfMetric(metric.name()) != scoring::MetricKind::kLabels) continue;
    if (labelled != nullptr && !std::ranges::equal(labelled->labels(), metric.labels())) {
      return Wrong(place + ".labels", metric.name() + " and " + labelled->name() +
                                          " of one suite must have the same labels");
    }
    labelled = &metric;
  }
  return Status();
}

Status CheckSuite(const v1::Suite& suite, const std::string& field) {
  if (suite.name().empty() || suite.name().size() > kNameBytesMax) {
    return Wrong(field + ".name",
                 "a suite needs a name of at most " + std::to_string(kNameBytesMax) + " bytes");
  }
  if (suite.dataset().empty()) return Wrong(field + ".dataset", "a suite needs a dataset");
  if (!suite.split().empty() && suite.split() != "validation" && suite.split() != "train") {
    return Wrong(field + ".split",
                 "split must be validation or train, not '" + suite.split() + "'");
  }
  if (suite.max_tokens() > kAnswerTokensMax) {
    return Wrong(field + ".max_tokens",
                 "max_tokens must be at most " + std::to_string(kAnswerTokensMax));
  }
  std::set<std::string> slices;
  for (const std::string& key : suite.slices()) {
    if (key.empty() || key.size() > kNameBytesMax || !slices.insert(key).second ||
        suite.slices_size() > kMetricsMax) {
      return Wrong(field + ".slices", "slices are at most " + std::to_string(kMetricsMax) +
                                          " different keys of a row's metadata, or \"length\"");
    }
  }
  return CheckMetrics(suite, field);
}

Status CheckSmoke(const v1::SmokePrompt& smoke, const std::string& field) {
  if (smoke.prompt().empty() || smoke.prompt().size() > kTextBytesMax) {
    return Wrong(field + ".prompt", "a smoke prompt is a text of at most 64 KiB, not empty");
  }
  if (smoke.max_tokens() > kAnswerTokensMax) {
    return Wrong(field + ".max_tokens",
                 "max_tokens must be at most " + std::to_string(kAnswerTokensMax));
  }
  ATTUNE_RETURN_IF_ERROR(
      AsField(scoring::MakeSearchValidator(smoke.must_match()).status(), field + ".must_match"));
  return AsField(scoring::MakeSearchValidator(smoke.must_not_match()).status(),
                 field + ".must_not_match");
}

uint64_t ExamplesOf(const v1::DatasetVersion& version, const std::string& split) {
  const auto found = version.examples().find(split);
  return found == version.examples().end() ? 0 : found->second;
}

std::string ReferenceOf(const v1::DatasetVersion& version) {
  return version.name() + "@" + std::to_string(version.version());
}

}  // namespace

Status CheckEvaluate(const v1::EvaluateRequest& request) {
  if (request.model().empty()) return Wrong("model", "evaluate needs a model");
  if (request.suites_size() + request.smoke_size() == 0) {
    return Wrong("suites", "there is nothing to measure: give a suite or a smoke prompt");
  }
  if (request.suites_size() > kSuitesMax || request.smoke_size() > kSmokeMax) {
    return Wrong("suites", "an evaluation takes at most " + std::to_string(kSuitesMax) +
                               " suites and " + std::to_string(kSmokeMax) + " smoke prompts");
  }
  const std::string& dtype = request.dtype();
  if (!dtype.empty() && dtype != "float32" && dtype != "bfloat16" && dtype != "float16") {
    return Wrong("dtype", "dtype must be one of float32, bfloat16, float16, not '" + dtype + "'");
  }
  std::set<std::string> names;
  for (int i = 0; i < request.suites_size(); ++i) {
    const std::string field = At("suites", i);
    ATTUNE_RETURN_IF_ERROR(CheckSuite(request.suites(i), field));
    if (!names.insert(request.suites(i).name()).second) {
      return Wrong(field + ".name", "two suites have the name '" + request.suites(i).name() + "'");
    }
  }
  for (int i = 0; i < request.smoke_size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(CheckSmoke(request.smoke(i), At("smoke", i)));
  }
  return Status();
}

Status CheckEmbed(const v1::EmbedRequest& request) {
  if (request.model().empty()) return Wrong("model", "embed needs a model");
  if (request.dataset().empty()) return Wrong("dataset", "embed needs a dataset");
  const std::string& split = request.split();
  if (!split.empty() && split != "train" && split != "validation" && split != "all") {
    return Wrong("split", "split must be train, validation or all, not '" + split + "'");
  }
  if (request.max_tokens() > kEmbedTokensMax) {
    return Wrong("max_tokens", "max_tokens must be at most " + std::to_string(kEmbedTokensMax));
  }
  return Status();
}

Status CheckSuiteData(const v1::Suite& suite, const v1::DatasetVersion& version) {
  if (ExamplesOf(version, suite.split()) == 0) {
    const bool validation = suite.split() == "validation";
    return Wrong("suites", "suite '" + suite.name() + "': the " + suite.split() + " split of " +
                               ReferenceOf(version) + " has no example; " +
                               (validation ? "import it with a larger --validation, or measure "
                                             "its split train"
                                           : "measure its split validation"));
  }
  if (version.shape() == "preference") {
    return Wrong("suites", "suite '" + suite.name() + "': " + ReferenceOf(version) +
                               " has only preference pairs, of which nothing is measured: choose "
                               "another data set");
  }
  if (version.shape() != "text") return Status();
  for (const v1::MetricSpec& metric : suite.metrics()) {
    // Labels of texts are what a classifier gives; with another model the job says so.
    const auto kind = scoring::KindOfMetric(metric.name());
    if (kind == scoring::MetricKind::kLoss || kind == scoring::MetricKind::kLabels) continue;
    return Wrong("suites", "suite '" + suite.name() + "': the rows of " + ReferenceOf(version) +
                               " are plain texts, without a prompt to answer, so " + metric.name() +
                               " cannot be measured: measure loss, or import " +
                               "rows with a prompt and a completion");
  }
  return Status();
}

Status CheckEmbedData(const v1::EmbedRequest& request, const v1::DatasetVersion& version) {
  uint64_t rows = 0;
  for (const auto& [split, examples] : version.examples()) {
    if (request.split() == "all" || request.split() == split) rows += examples;
  }
  if (request.split() == "all" && !version.examples().contains("unlabelled")) {
    rows += version.unlabelled();
  }
  if (rows > 0) return Status();
  return Wrong("split", "the split " + request.split() + " of " + ReferenceOf(version) +
                            " has no row: ask for another split");
}

}  // namespace attune::jobs
