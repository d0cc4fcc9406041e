#include "worker/engine/tasks/suite_run.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <numeric>

#include "common/base/utf8.h"
#include "common/scoring/metrics.h"
#include "worker/engine/data/example_list.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTextBytes = 2000;  // of a text in a line
constexpr size_t kExamplesAtOnce = 64;

std::string LengthBucket(size_t tokens) {
  if (tokens < 128) return "0-127";
  if (tokens < 256) return "128-255";
  if (tokens < 512) return "256-511";
  return tokens < 1024 ? "512-1023" : "1024+";
}

}  // namespace

Status SuiteRun::PrepareMetric(const MetricOptions& metric,
                               const std::map<std::string, Judge>& judges) {
  const auto kind = scoring::KindOfMetric(metric.name);
  if (!kind) {
    return InvalidArgument("there is no metric '" + metric.name + "'; there are " +
                           scoring::MetricNames());
  }
  wants_answers_ |= scoring::NeedsAnswer(*kind);
  if (metric.name == "regex") {
    ATTUNE_ASSIGN_OR_RETURN(validators_[metric.name], scoring::MakeRegexValidator(metric.pattern));
  } else if (metric.name == "json_schema") {
    ATTUNE_ASSIGN_OR_RETURN(validators_[metric.name],
                            scoring::MakeJsonSchemaValidator(metric.schema));
  } else if (*kind == scoring::MetricKind::kLabels) {
    labels_ = metric.labels;
    if (labels_.size() < 2) return InvalidArgument(metric.name + " needs at least two labels");
  } else if (*kind == scoring::MetricKind::kJudge) {
    const auto found = judges.find(metric.judge);
    if (found == judges.end()) {
      std::string names;
      for (const auto& [name, judge] : judges) names += (names.empty() ? "" : ", ") + name;
      return InvalidArgument("this worker has no judge '" + metric.judge + "'; " +
                             (names.empty() ? "it has none" : "it has " + names) +
                             ": name its command under `judges` in the worker's configuration");
    }
    judge_ = &found->second;
  }
  return Status();
}

Status SuiteRun::Prepare(const std::map<std::string, Judge>& judges) {
  for (const MetricOptions& metric : suite_->metrics) {
    const Status prepared = PrepareMetric(metric, judges);
    if (!prepared.ok()) return prepared.WithContext("suite '" + suite_->name + "'");
  }
  ATTUNE_ASSIGN_OR_RETURN(rows_,
                          SampleRows(suite_->dataset, {suite_->split}, suite_->max_examples));
  return Status();
}

void SuiteRun::LeaveOut(const std::string& why, int64_t* count) {
  ++*count;
  if (first_reason_.empty()) first_reason_ = Shorten(why, 300);
}

// False: the row is left out, and counted.
Result<bool> SuiteRun::Take(const EvaluationModel& model, const SampledRow& row, Example* example) {
  example->row = &row;
  ATTUNE_ASSIGN_OR_RETURN(example->tokens, TokenizeExample(row.line, *model.tokenize));
  ATTUNE_ASSIGN_OR_RETURN(example->parts, PartsOf(row.line));
  if (!example->tokens.unusable.empty()) {
    LeaveOut(example->tokens.unusable, &unusable_);
    return false;
  }
  if (!example->tokens.has_target) {
    LeaveOut("example " + row.id + " has nothing to predict", &without_target_);
    return false;
  }
  cut_ += example->tokens.truncated;
  if (!model.model->labels().empty() || (!wants_answers_ && labels_.empty())) return true;
  if (scoring::Trimmed(example->parts.reference).empty()) {
    LeaveOut("the answer of example " + row.id + " has no text", &unusable_);
    return false;
  }
  auto prompt = PromptOf(row.line, model.tokenize->assets);
  if (!prompt.ok() && prompt.status().code() != StatusCode::kInvalidArgument) {
    return prompt.status();
  }
  if (!prompt.ok()) {
    LeaveOut("example " + row.id + ": " + prompt.status().message(), &unusable_);
    return false;
  }
  example->prompt = std::move(*prompt);
  return true;
}

Status SuiteRun::CheckAsked(const EvaluationModel& model) const {
  const std::string suite = "suite '" + suite_->name + "' asks for ";
  if (!model.model->labels().empty() && wants_answers_) {
    return InvalidArgument(suite +
                           "answers, and the model is a classifier: choose validation_loss, "
                           "accuracy, macro_f1 or calibration_error");
  }
  if (model.objective != nullptr && (wants_answers_ || !labels_.empty())) {
    return InvalidArgument(suite + (wants_answers_ ? "answers" : "labels") +
                           ", and the model is an encoder, which gives none: choose "
                           "validation_loss");
  }
  return Status();
}

// Rows that stand against each other are the same ones for every model.
size_t SuiteRun::Together(const EvaluationModel& model) const {
  const int fixed = model.objective == nullptr ? 0 : model.objective->examples_together();
  return fixed > 0 ? static_cast<size_t>(fixed) : kExamplesAtOnce;
}

Status SuiteRun::MeasureByObjective(const EvaluationModel& model, const std::vector<Example>& group,
                                    std::vector<MeasuredExample>* measured) const {
  std::vector<TokenizedExample> tokens;
  for (const Example& example : group) tokens.push_back(example.tokens);
  const ExampleList list(std::move(tokens));
  Sequence all(group.size());
  std::iota(all.begin(), all.end(), 0u);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<LossPart> parts,
                          model.objective->MeasureEach(list, all));
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!std::isfinite(parts[i].loss)) {
      return FailedPrecondition("the loss of example " + group[i].row->id +
                                " is not finite: the model's weights are damaged");
    }
    measured->push_back({.predicted = true, .loss_sum = parts[i].loss, .targets = parts[i].units});
  }
  return Status();
}

Status SuiteRun::Run(const EvaluationModel& model, Observer& observer,
                     const std::function<void(size_t)>& on_rows) {
  ATTUNE_RETURN_IF_ERROR(CheckAsked(model));
  const size_t together = Together(model);
  const int64_t tokens_most = together == kExamplesAtOnce ? kTokensAPass : INT64_MAX;
  std::vector<Example> group;
  int64_t tokens = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    Example example;
    ATTUNE_ASSIGN_OR_RETURN(const bool taken, Take(model, rows_[i], &example));
    if (taken) {
      tokens += static_cast<int64_t>(example.tokens.tokens.size());
      group.push_back(std::move(example));
    }
    const bool last = i + 1 == rows_.size();
    if (!last && tokens < tokens_most && group.size() < together) continue;
    if (!group.empty()) {
      const Status measured = Measure(model, &group, observer);
      if (!measured.ok()) return measured.WithContext("suite '" + suite_->name + "'");
    }
    group.clear();
    tokens = 0;
    on_rows(i + 1);
  }
  return Finish(model, observer);
}

Status SuiteRun::Measure(const EvaluationModel& model, std::vector<Example>* group,
                         Observer& observer) {
  const auto proceed = [&]() -> Status {
    if (observer.ShouldStop() == StopRequest::kNone) return Status();
    return Cancelled("stopped while evaluating");
  };
  std::vector<MeasuredExample> measured;
  if (!model.model->labels().empty()) {
    ATTUNE_RETURN_IF_ERROR(GiveLabels(model, group, proceed, &measured));
  } else if (model.objective != nullptr) {
    ATTUNE_RETURN_IF_ERROR(proceed());
    ATTUNE_RETURN_IF_ERROR(MeasureByObjective(model, *group, &measured));
  } else {
    std::vector<TokenizedExample> tokens;
    for (const Example& example : *group) tokens.push_back(example.tokens);
    ATTUNE_ASSIGN_OR_RETURN(
        measured, MeasureExamples(*model.model, std::move(tokens), false, model.device, proceed));
    if (!labels_.empty()) ATTUNE_RETURN_IF_ERROR(ChooseLabels(model, group, proceed));
  }
  for (size_t i = 0; i < group->size(); ++i) {
    Example& example = (*group)[i];
    if (wants_answers_) {
      ATTUNE_RETURN_IF_ERROR(proceed());
      const Status scored = ScoreAnswer(model, &example);
      if (!scored.ok()) return scored.WithContext("example " + example.row->id);
    }
    observer.OnOutput(Line(example, measured[i]));
    ++measured_;
  }
  return Status();
}

Status SuiteRun::GiveLabels(const EvaluationModel& model, std::vector<Example>* group,
                            const std::function<Status()>& proceed,
                            std::vector<MeasuredExample>* measured) {
  const std::vector<std::string>& names = model.model->labels();
  std::vector<std::span<const uint32_t>> texts;
  for (const Example& example : *group) {
    texts.push_back(std::span(example.tokens.tokens).first(example.tokens.tokens.size() - 1));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<LabelledExample> labelled,
                          LabelTexts(*model.model, texts, model.device, proceed));
  for (size_t e = 0; e < group->size(); ++e) {
    Example& example = (*group)[e];
    const size_t wanted = example.tokens.tokens.back();
    const LabelledExample& given = labelled[e];
    measured->push_back(
        {.predicted = true, .loss_sum = -std::log(given.probabilities[wanted]), .targets = 1});
    example.label = example.parts.reference = names[wanted];
    if (labels_.empty()) continue;
    example.predicted = names[given.best];
    example.confidence = given.probabilities[given.best];
    example.scores["accuracy"] = given.best == wanted ? 1 : 0;
    ++labelled_;
  }
  return Status();
}

// The label that is the likeliest completion, all of its tokens and the end after it included.
Status SuiteRun::ChooseLabels(const EvaluationModel& model, std::vector<Example>* group,
                              const std::function<Status()>& proceed) {
  std::vector<TokenizedExample> candidates;
  for (const Example& example : *group) {
    for (const std::string& label : labels_) {
      ATTUNE_ASSIGN_OR_RETURN(const std::string line,
                              WithAnswer(example.row->line, scoring::Trimmed(label)));
      ATTUNE_ASSIGN_OR_RETURN(TokenizedExample tokens, TokenizeExample(line, *model.tokenize));
      if (!tokens.unusable.empty() || !tokens.has_target || tokens.truncated) {
        return InvalidArgument(
            "example " + example.row->id + " cannot be completed by label '" + label + "'" +
            (tokens.unusable.empty() ? ": it is too long for the model" : ": " + tokens.unusable));
      }
      candidates.push_back(std::move(tokens));
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<MeasuredExample> measured,
      MeasureExamples(*model.model, std::move(candidates), false, model.device, proceed));
  for (size_t e = 0; e < group->size(); ++e) {
    Example& example = (*group)[e];
    const MeasuredExample* own = &measured[e * labels_.size()];
    size_t best = 0;
    for (size_t k = 1; k < labels_.size(); ++k) {
      if (own[k].loss_sum < own[best].loss_sum) best = k;
    }
    double sum = 0;
    for (size_t k = 0; k < labels_.size(); ++k) {
      sum += std::exp(own[best].loss_sum - own[k].loss_sum);
    }
    example.label = scoring::Trimmed(example.parts.reference);
    example.predicted = scoring::Trimmed(labels_[best]);
    example.confidence = 1 / sum;
    example.scores["accuracy"] = example.predicted == example.label ? 1 : 0;
    labelled_ += std::ranges::any_of(labels_, [&](const std::string& label) {
      return scoring::Trimmed(label) == example.label;
    });
  }
  return Status();
}

Status SuiteRun::ScoreAnswer(const EvaluationModel& model, Example* example) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string answer,
                          model.answers->Generate(example->prompt, suite_->max_tokens));
  example->answer = ToValidUtf8(answer);
  for (const MetricOptions& metric : suite_->metrics) {
    const auto kind = scoring::KindOfMetric(metric.name);
    if (!scoring::NeedsAnswer(*kind)) continue;
    double& score = example->scores[metric.name];
    if (metric.name == "exact_match") {
      score = scoring::ExactMatch(answer, example->parts.reference);
    } else if (metric.name == "token_f1") {
      score = scoring::TokenF1(answer, example->parts.reference);
    } else if (metric.name == "rouge_l") {
      score = scoring::RougeL(answer, example->parts.reference);
    } else if (*kind == scoring::MetricKind::kRule) {
      score = validators_.at(metric.name)->Score(answer);
    } else {
      auto judged = (*judge_)(example->parts.asked, example->parts.reference, example->answer);
      if (!judged.ok()) {
        return judged.status().WithContext("judge '" + metric.judge + "' of example " +
                                           example->row->id);
      }
      score = *judged;
    }
  }
  return Status();
}

std::string SuiteRun::Line(const Example& example, const MeasuredExample& measured) const {
  Json line = {{"suite", suite_->name},
               {"id", example.row->id},
               {"loss_sum", measured.loss_sum},
               {"target_tokens", measured.targets}};
  if (!suite_->slices.empty()) {
    const auto metadata = MetadataOf(example.row->line);
    Json& slices = line["slices"];
    for (const std::string& key : suite_->slices) {
      const bool known = metadata.ok() && metadata->contains(key);
      slices[key] = known             ? metadata->at(key)
                    : key == "length" ? LengthBucket(example.tokens.tokens.size())
                                      : "";
    }
  }
  if (!example.scores.empty()) line["scores"] = example.scores;
  line["prompt"] = Shorten(example.parts.asked, kTextBytes);
  line["reference"] = Shorten(example.parts.reference, kTextBytes);
  if (wants_answers_) line["answer"] = Shorten(example.answer, kTextBytes);
  if (!labels_.empty()) {
    line["label"] = Shorten(example.label, kTextBytes);
    line["predicted"] = Shorten(example.predicted, kTextBytes);
    line["confidence"] = example.confidence;
  }
  return Json{{"example", std::move(line)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What a person should know of the suite; an error when nothing was measured.
Status SuiteRun::Finish(const EvaluationModel& model, Observer& observer) const {
  const std::string name = "suite '" + suite_->name + "', the " + suite_->split + " split of " +
                           suite_->dataset.reference + ": ";
  const std::string reason = first_reason_.empty() ? "" : " (the first: " + first_reason_ + ")";
  if (measured_ == 0) {
    return InvalidArgument(name + "none of " + std::to_string(rows_.size()) +
                           " rows can be measured" + reason +
                           "; choose another split, data set or metric");
  }
  if (!labels_.empty() && labelled_ == 0) {
    return InvalidArgument(name +
                           "no row's answer is one of the labels; the labels are compared "
                           "with the whole answer: correct them");
  }
  if (unusable_ + without_target_ > 0) {
    observer.OnWarning(name + std::to_string(unusable_ + without_target_) + " of " +
                       std::to_string(rows_.size()) + " rows are left out" + reason);
  }
  if (cut_ > 0) {
    observer.OnWarning(name + std::to_string(cut_) + " of " + std::to_string(rows_.size()) +
                       " rows are cut at " + std::to_string(model.tokenize->sequence_length) +
                       " tokens");
  }
  if (!labels_.empty() && labelled_ < measured_) {
    observer.OnWarning(name + "the answers of " + std::to_string(measured_ - labelled_) +
                       " rows are none of the labels, so they count as wrong");
  }
  return Status();
}

}  // namespace attune::engine
