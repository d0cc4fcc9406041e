// attune model evaluate: an EVALUATE job, and what its lines come to.

#include <algorithm>
#include <map>

#include "common/base/files.h"
#include "common/gates/artifact.h"
#include "common/gates/lines.h"
#include "common/gates/measure.h"
#include "common/gates/metric.h"
#include "common/gates/text.h"
#include "common/scoring/metrics.h"
#include "common/spec/json.h"
#include "common/spec/schedule_spec.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/task_job.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(',', begin)) != text.npos; begin = end + 1) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// "NAME" or "NAME=VALUE".
Result<v1::MetricSpec> ParseMetric(const std::string& word) {
  const size_t equals = std::min(word.find('='), word.size());
  const std::string value = word.substr(std::min(equals + 1, word.size()));
  v1::MetricSpec metric;
  metric.set_name(scoring::MetricOf(word.substr(0, equals)));
  const auto kind = scoring::KindOfMetric(metric.name());
  if (!kind) {
    return InvalidArgument("--metric: there is no metric '" + metric.name() + "'; there are " +
                           scoring::MetricNames());
  }
  if (metric.name() == "regex") {
    metric.set_pattern(value);
  } else if (metric.name() == "json_schema") {
    ATTUNE_ASSIGN_OR_RETURN(*metric.mutable_schema(), ReadFile(value, 1 << 20));
  } else if (*kind == scoring::MetricKind::kJudge) {
    metric.set_judge(value);
  } else if (*kind == scoring::MetricKind::kLabels) {
    for (const std::string& label : SplitAtCommas(value)) metric.add_labels(label);
  } else if (equals != word.size()) {
    return InvalidArgument("--metric: " + metric.name() + " takes no value");
  }
  return metric;
}

Result<v1::EvaluateRequest> MakeRequest(const Arguments& arguments) {
  v1::EvaluateRequest request;
  request.set_model(arguments.Get("MODEL"));
  request.set_merge(!arguments.Has("--unmerged"));
  request.set_dtype(arguments.Get("--dtype"));
  if (arguments.All("--dataset").empty()) {
    return InvalidArgument("nothing to measure on: give --dataset NAME");
  }
  for (const std::string& dataset : arguments.All("--dataset")) {
    v1::Suite* suite = request.add_suites();
    suite->set_name(dataset);
    suite->set_dataset(dataset);
    suite->set_split(arguments.Get("--split"));
    suite->set_max_examples(static_cast<uint32_t>(arguments.Whole("--max-examples")));
    suite->set_max_tokens(static_cast<uint32_t>(arguments.Whole("--max-tokens")));
    for (const std::string& key : arguments.All("--slice")) suite->add_slices(key);
    for (const std::string& word : arguments.All("--metric")) {
      ATTUNE_ASSIGN_OR_RETURN(*suite->add_metrics(), ParseMetric(word));
    }
  }
  return request;
}

struct Value {
  std::string suite, metric, slice_key, slice_value;
  gates::Measured measured;
};

// The loss first; then what was asked for.
std::vector<std::string> MetricsOf(const v1::Suite& suite) {
  std::vector<std::string> names = {"loss"};
  for (const v1::MetricSpec& metric : suite.metrics()) {
    if (metric.name() != "loss") names.push_back(metric.name());
  }
  return names;
}

Status AddValues(const v1::Suite& suite, const std::vector<gates::Pair>& examples,
                 const std::string& key, const std::string& value, std::vector<Value>* values) {
  for (const std::string& name : MetricsOf(suite)) {
    ATTUNE_ASSIGN_OR_RETURN(const gates::Metric metric, gates::Metric::Make(name));
    ATTUNE_ASSIGN_OR_RETURN(
        gates::Measured measured,
        gates::MeasureCandidate(metric, examples, spec::kConfidence, {.seed = 1}));
    values->push_back({suite.name(), name, key, value, std::move(measured)});
  }
  return Status();
}

Result<std::vector<Value>> ValuesOf(const v1::EvaluateRequest& request,
                                    const v1::EvaluationFacts& facts) {
  std::vector<Value> values;
  for (const v1::Suite& suite : request.suites()) {
    std::vector<gates::Pair> all;
    std::map<std::pair<std::string, std::string>, std::vector<gates::Pair>> slices;
    for (const v1::ExampleFacts& example : facts.examples()) {
      if (example.suite() != suite.name()) continue;
      all.push_back({.candidate = &example});
      for (const auto& slice : example.slices()) {
        slices[{slice.first, slice.second}].push_back({.candidate = &example});
      }
    }
    ATTUNE_RETURN_IF_ERROR(AddValues(suite, all, "", "", &values));
    for (const auto& [slice, examples] : slices) {
      ATTUNE_RETURN_IF_ERROR(AddValues(suite, examples, slice.first, slice.second, &values));
    }
  }
  return values;
}

Result<v1::EvaluationFacts> ReadFacts(const v1::EvaluateRequest& request,
                                      const std::string& output) {
  gates::FactsReader reader(request.model(), "the evaluation", request);
  std::string_view rest = output;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    ATTUNE_RETURN_IF_ERROR(reader.AddLine(line));
  }
  return reader.Finish();
}

Json ToJson(const std::string& model, const std::vector<Value>& values,
            const v1::ArtifactFacts& artifact) {
  Json results = Json::array();
  for (const Value& value : values) {
    Json json = {{"suite", value.suite}, {"metric", value.metric}};
    if (!value.slice_key.empty()) {
      json["slice_key"] = value.slice_key;
      json["slice_value"] = value.slice_value;
    }
    json["value"] = value.measured.value;
    if (!value.measured.method.empty()) {
      json["lower"] = value.measured.bounds.lower;
      json["upper"] = value.measured.bounds.upper;
      json["confidence"] = spec::kConfidence;
      json["method"] = value.measured.method;
    }
    json["examples"] = value.measured.examples;
    results.push_back(std::move(json));
  }
  return {{"model", model},
          {"results", results},
          {"artifact",
           {{"bytes", artifact.bytes()},
            {"parameters", artifact.parameters()},
            {"dtype", artifact.dtype()},
            {"checksum", artifact.checksum()},
            {"tokens_per_second", artifact.tokens_per_second()},
            {"first_token_seconds", artifact.first_token_seconds()},
            {"device", artifact.device()},
            {"precision", artifact.precision()}}}};
}

std::string Card(const std::vector<Value>& values, const v1::ArtifactFacts& artifact, size_t width,
                 bool color) {
  Table table({{.header = "SUITE"},
               {.header = "SLICE"},
               {.header = "METRIC"},
               {.header = "VALUE", .right = true},
               {.header = "AT LEAST", .right = true, .optional = true},
               {.header = "AT MOST", .right = true, .optional = true},
               {.header = "EXAMPLES", .right = true}});
  bool bounded = false;
  for (const Value& value : values) {
    const bool whole = value.slice_key.empty();
    std::string slice = value.slice_key;
    if (!whole) slice += "=" + (value.slice_value.empty() ? "(none)" : value.slice_value);
    const gates::Measured& measured = value.measured;
    const bool has_bounds = !measured.method.empty();
    bounded |= has_bounds;
    table.Add({value.suite, whole ? Table::Cell("") : Table::Cell(slice, Style::kDim), value.metric,
               FormatFixed(measured.value, 4),
               has_bounds ? FormatFixed(measured.bounds.lower, 4) : "",
               has_bounds ? FormatFixed(measured.bounds.upper, 4) : "",
               std::to_string(measured.examples)});
  }
  std::string card = table.Render(width, color);
  if (bounded) {
    card += Paint("At least and at most are one-sided: each alone is " +
                      gates::Percent(spec::kConfidence) + " sure.",
                  Style::kDim, color) +
            "\n";
  }
  card += "\n" + FormatBytes(static_cast<double>(artifact.bytes())) + ", " +
          FormatCount(static_cast<double>(artifact.parameters())) + " parameters, " +
          artifact.dtype();
  if (const std::string measured = gates::MeasuredIn(artifact); !measured.empty()) {
    card += "; measured in " + measured;
  }
  if (artifact.tokens_per_second() > 0) {
    card += "; " + FormatFixed(artifact.tokens_per_second(), 1) +
            " tokens/s one sequence at a time, first token after " +
            FormatFixed(1000 * artifact.first_token_seconds(), 0) + " ms";
  }
  return card + "\n";
}

}  // namespace

Result<int> RunModelEvaluate(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::EvaluateRequest evaluate, MakeRequest(arguments));
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::EVALUATE);
  *request.mutable_task()->mutable_evaluate() = evaluate;
  ATTUNE_ASSIGN_OR_RETURN(const std::string output, RunTaskJob(session, std::move(request)));
  if (session.printer().format() == Format::kJsonLines) {
    session.printer().out() << output;
    return kExitOk;
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::EvaluationFacts facts, ReadFacts(evaluate, output));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Value> values, ValuesOf(evaluate, facts));
  session.printer().Object(
      ToJson(evaluate.model(), values, facts.artifact()), evaluate.model(),
      Card(values, facts.artifact(), session.printer().width(), session.printer().color()));
  return kExitOk;
}

}  // namespace attune::cli
