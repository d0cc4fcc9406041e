#pragma once

// What curation says of one row after the other: limits, patterns, contamination. Near-duplicates,
// which take all rows, are in near_duplicate_pass.h.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/curation.pb.h"
#include "common/base/status.h"
#include "coordinator/curation/contamination.h"
#include "coordinator/curation/findings.h"
#include "coordinator/curation/patterns.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/row.h"

namespace attune::datasets {

// The examples of the data sets that models are measured by.
class EvaluationExamples {
 public:
  // The next data set, "name@version"; then its rows as JSON text. Errors as EvaluationRuns::Add.
  void Begin(std::string reference);
  Status AddRow(std::string_view line);
  const curation::EvaluationRuns& runs() const { return runs_; }
  // "name@version 3f..." of an example's number.
  std::string NameOf(uint32_t example) const;

 private:
  struct Set {
    std::string reference;
    uint32_t first;  // example
  };
  curation::EvaluationRuns runs_;
  std::vector<ExampleId> ids_;
  std::vector<Set> sets_;
};

// Immutable once made: any number of threads.
class Curator {
 public:
  // spec: filled in (spec::FillDefaults). examples: of spec's contamination.against. Errors:
  // kInvalidArgument, with field() ("spec.curation.patterns.emial"), for patterns, expressions and
  // languages that there are not.
  static Result<std::unique_ptr<Curator>> Make(const v1::CurationSpec& spec,
                                               EvaluationExamples examples);

  struct Verdict {
    bool dropped = false;
    // The reason why it is dropped, or what was found in a row that is kept; without file and line.
    std::vector<curation::Finding> findings;
  };
  // May change the row, by what is redacted. allow_unlabelled: as it was parsed with.
  Verdict Curate(Row* row, bool allow_unlabelled) const;

  // The first words of a reading text, with all that the patterns find redacted.
  std::string FirstWords(std::string_view text) const;

 private:
  Curator(v1::CurationSpec spec, EvaluationExamples examples)
      : spec_(std::move(spec)), examples_(std::move(examples)) {}
  // Each returns whether the row is dropped.
  bool CheckLimits(const Row& row, Verdict* verdict) const;
  bool CheckPatterns(Row* row, bool allow_unlabelled, Verdict* verdict) const;
  bool CheckContamination(const Row& row, Verdict* verdict) const;

  const v1::CurationSpec spec_;
  const EvaluationExamples examples_;
  std::optional<curation::PatternSet> patterns_;  // empty: none
};

}  // namespace attune::datasets
