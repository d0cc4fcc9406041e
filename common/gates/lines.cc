#include "common/gates/lines.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/scoring/metrics.h"

namespace attune::gates {
namespace {

std::string Named(const v1::ExampleFacts& example) {
  return "example " + example.id() + " of suite " + example.suite();
}

bool IsExampleId(std::string_view id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Sums of such numbers and their cubes stay finite.
bool IsSane(double value) {
  return std::abs(value) <= 1e15;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// protobuf takes null, which is how JSON writers spell a number that is none, and a missing field
// for zero: the best loss there is.
Status CheckNumbersAreThere(std::string_view line) {
  bool null = false;
  const auto watch = [&](int, nlohmann::json::parse_event_t, const nlohmann::json& parsed) {
    null |= parsed.is_null();
    return true;
  };
  const auto json = nlohmann::json::parse(line, watch, false);
  if (null) return InvalidArgument("a value is null, that is, not a number");
  if (!json.is_object()) return InvalidArgument("not an EvaluationLine");
  auto example = json.find("example");
  if (example == json.end() || example->contains("loss_sum") || example->contains("lossSum")) {
    return Status();
  }
  return InvalidArgument("an example without loss_sum");
}

}  // namespace

bool IsLossMetric(std::string_view metric) {
  return scoring::KindOfMetric(metric) == scoring::MetricKind::kLoss;
}

bool IsLabelMetric(std::string_view metric) {
  return scoring::KindOfMetric(metric) == scoring::MetricKind::kLabels;
}

Status CheckExample(const v1::ExampleFacts& example) {
  if (!IsExampleId(example.id())) {
    return InvalidArgument("suite " + example.suite() + ": an example's id is \"" +
                           example.id().substr(0, 64) + "\", not 32 hexadecimal digits");
  }
  if (!IsSane(example.loss_sum())) {
    return InvalidArgument(Named(example) +
                           ": its loss is not a number; the model's weights may have diverged");
  }
  for (const auto& [name, score] : example.scores()) {
    if (!IsSane(score)) {
      return InvalidArgument(Named(example) + ": its " + name + " is not a number");
    }
  }
  if (!(example.confidence() >= 0 && example.confidence() <= 1)) {
    return InvalidArgument(Named(example) + ": its confidence is not within 0 and 1");
  }
  return Status();
}

Status CheckMetric(const v1::ExampleFacts& example, std::string_view metric) {
  if (IsLossMetric(metric)) return Status();
  if (IsLabelMetric(metric)) {
    if (!example.label().empty() && !example.predicted().empty()) return Status();
    return InvalidArgument(Named(example) + " has no label, which " + std::string(metric) +
                           " needs");
  }
  if (example.scores().contains(std::string(metric))) return Status();
  return InvalidArgument(Named(example) + " has no score \"" + std::string(metric) + "\"");
}

FactsReader::FactsReader(std::string model, std::string job_id, v1::EvaluateRequest request)
    : request_(std::move(request)) {
  facts_.set_model(std::move(model));
  facts_.set_job_id(std::move(job_id));
  for (const v1::Suite& suite : request_.suites()) suites_[suite.name()] = &suite;
}

Status FactsReader::Where(const Status& status) const {
  return status.WithContext("the output of " + facts_.job_id() + ", line " +
                            std::to_string(lines_));
}

Status FactsReader::AddLine(std::string_view line) {
  if (!failed_.ok()) return failed_;
  ++lines_;
  if (IsBlank(line)) return Status();
  Status taken = Take(line);
  if (!taken.ok()) failed_ = Where(taken);
  return failed_;
}

Status FactsReader::Take(std::string_view line) {
  bytes_ += line.size();
  if (line.size() > kMaxLineBytes || bytes_ > kMaxEvaluationBytes) {
    return InvalidArgument("an evaluation's output is at most " +
                           std::to_string(kMaxEvaluationBytes >> 20) + " MiB in lines of " +
                           std::to_string(kMaxLineBytes >> 20) +
                           " MiB: lower max_examples of the suites");
  }
  if (facts_.has_artifact()) return InvalidArgument("nothing may follow the artifact's line");
  v1::EvaluationLine parsed;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer worker says more
  auto json = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(line.data(), line.size()), &parsed, options);
  if (!json.ok()) return InvalidArgument("not an EvaluationLine: " + json.ToString());
  ATTUNE_RETURN_IF_ERROR(CheckNumbersAreThere(line));
  switch (parsed.line_case()) {
    case v1::EvaluationLine::kExample:
      return TakeExample(parsed.mutable_example());
    case v1::EvaluationLine::kSmoke:
      *facts_.add_smoke() = std::move(*parsed.mutable_smoke());
      return Status();
    case v1::EvaluationLine::kArtifact:
      *facts_.mutable_artifact() = std::move(*parsed.mutable_artifact());
      return Status();
    case v1::EvaluationLine::LINE_NOT_SET:
      break;
  }
  return InvalidArgument("the line is neither example nor smoke nor artifact");
}

Status FactsReader::TakeExample(v1::ExampleFacts* example) {
  auto suite = suites_.find(example->suite());
  if (suite == suites_.end()) {
    return InvalidArgument("suite \"" + example->suite() + "\" was not asked for");
  }
  ATTUNE_RETURN_IF_ERROR(CheckExample(*example));
  for (const v1::MetricSpec& metric : suite->second->metrics()) {
    ATTUNE_RETURN_IF_ERROR(CheckMetric(*example, metric.name()));
  }
  if (!seen_.emplace(example->suite(), example->id()).second) {
    return InvalidArgument(Named(*example) + " comes twice");
  }
  if (seen_.size() > kMaxExamples) {
    return InvalidArgument("more than " + std::to_string(kMaxExamples) +
                           " examples: lower max_examples of the suites");
  }
  *facts_.add_examples() = std::move(*example);
  return Status();
}

Result<v1::EvaluationFacts> FactsReader::Finish() {
  if (!failed_.ok()) return failed_;
  const std::string where = "the output of " + facts_.job_id() + ": ";
  if (!facts_.has_artifact()) {
    return InvalidArgument(where + "its last line, the artifact, is missing: it is not whole");
  }
  for (const auto& [name, suite] : suites_) {
    auto first = seen_.lower_bound({name, ""});
    if (first == seen_.end() || first->first != name) {
      return InvalidArgument(where + "suite " + name + " has no example; is split " +
                             suite->split() + " of " + suite->dataset() + " empty?");
    }
  }
  if (facts_.smoke_size() != request_.smoke_size()) {
    return InvalidArgument(where + std::to_string(facts_.smoke_size()) + " answers to " +
                           std::to_string(request_.smoke_size()) + " smoke prompts");
  }
  std::sort(facts_.mutable_examples()->pointer_begin(), facts_.mutable_examples()->pointer_end(),
            [](const v1::ExampleFacts* a, const v1::ExampleFacts* b) {
              return std::pair(a->suite(), a->id()) < std::pair(b->suite(), b->id());
            });
  return std::move(facts_);
}

}  // namespace attune::gates
