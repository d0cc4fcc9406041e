#pragma once

// One suite of an evaluation.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/scoring/scoring.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/row_parts.h"
#include "worker/engine/data/sample_rows.h"
#include "worker/engine/eval/measure.h"
#include "worker/engine/evaluation.h"
#include "worker/engine/objectives/objective.h"
#include "worker/engine/tasks/answers.h"

namespace attune::engine {

// What all suites share.
struct EvaluationModel {
  LanguageModel* model;
  const TokenizeOptions* tokenize;
  Answers* answers;
  at::Device device;
  // Of encoders, which have losses that are not of next tokens; else null.
  ObjectiveFunction* objective = nullptr;
};

class SuiteRun {
 public:
  // suite outlives it.
  explicit SuiteRun(const Suite* suite) : suite_(suite) {}

  // All that can be wrong before the model is there: patterns, schemas, judges (kInvalidArgument
  // with the names that there are), the dataset's files. Reads the rows.
  Status Prepare(const std::map<std::string, Judge>& judges);
  size_t rows() const { return rows_.size(); }

  // Reports a line for each example. on_rows hears of rows that are done. kInvalidArgument when no
  // example can be measured.
  Status Run(const EvaluationModel& model, Observer& observer,
             const std::function<void(size_t)>& on_rows);

 private:
  struct Example {
    const SampledRow* row;
    TokenizedExample tokens;
    RowParts parts;
    PromptText prompt;  // when answers are wanted
    std::map<std::string, double> scores;
    std::string answer, label, predicted;
    double confidence = 0;
  };

  Status PrepareMetric(const MetricOptions& metric, const std::map<std::string, Judge>& judges);
  Result<bool> Take(const EvaluationModel& model, const SampledRow& row, Example* example);
  Status Measure(const EvaluationModel& model, std::vector<Example>* group, Observer& observer);
  Status CheckAsked(const EvaluationModel& model) const;
  size_t Together(const EvaluationModel& model) const;
  Status MeasureByObjective(const EvaluationModel& model, const std::vector<Example>& group,
                            std::vector<MeasuredExample>* measured) const;
  // Of a classifier: the label that its head gives each text.
  Status GiveLabels(const EvaluationModel& model, std::vector<Example>* group,
                    const std::function<Status()>& proceed, std::vector<MeasuredExample>* measured);
  Status ChooseLabels(const EvaluationModel& model, std::vector<Example>* group,
                      const std::function<Status()>& proceed);
  Status ScoreAnswer(const EvaluationModel& model, Example* example);
  std::string Line(const Example& example, const MeasuredExample& measured) const;
  Status Finish(const EvaluationModel& model, Observer& observer) const;
  void LeaveOut(const std::string& why, int64_t* count);

  const Suite* const suite_;
  std::vector<SampledRow> rows_;
  std::map<std::string, std::unique_ptr<scoring::Validator>> validators_;  // by metric
  const Judge* judge_ = nullptr;
  std::vector<std::string> labels_;  // empty: none are chosen
  bool wants_answers_ = false;

  int64_t measured_ = 0, cut_ = 0, unusable_ = 0, without_target_ = 0, labelled_ = 0;
  std::string first_reason_;  // of what is left out
};

}  // namespace attune::engine
