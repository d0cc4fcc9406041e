#pragma once

// The examples that near-duplicates leave out, as findings: each where its row stood in the files
// and with its first words. The words of those whose rows the import does not write are read from
// the shards of the version that it begins with, of no more than are listed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/curation/cluster_decision.h"
#include "coordinator/curation/findings.h"
#include "coordinator/datasets/base_version.h"
#include "coordinator/datasets/curator.h"
#include "coordinator/datasets/example_table.h"

namespace attune::datasets {

class LossReport {
 public:
  // All outlive it. curator: null where rows are taken as they are.
  LossReport(const ExampleTable* examples, const Curator* curator,
             curation::FindingsWriter* findings)
      : examples_(*examples), curator_(curator), findings_(*findings) {}

  struct Place {
    std::string file;  // empty: in the version that the import begins with
    uint64_t line = 0;
  };
  // An example that is left out. row: its shard line; empty: a shard of that version has it.
  Status Add(uint32_t number, const curation::Loss& loss, Place place, std::string_view row);
  // Reads the words that are not known yet. base: what the first examples are of.
  Status Finish(const BaseVersion& base, const v1::DatasetVersion& version,
                const CancelCheck& cancelled);

 private:
  struct Wordless {
    uint32_t number;
    curation::Finding finding;
  };
  std::string Words(std::string_view row) const;

  const ExampleTable& examples_;
  const Curator* const curator_;
  curation::FindingsWriter& findings_;
  std::vector<Wordless> wordless_;  // at most kFindingsOfReasonKept of each reason
};

}  // namespace attune::datasets
