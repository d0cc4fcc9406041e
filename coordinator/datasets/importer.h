#pragma once

// Turns the bytes of files into shards and a report, in two passes: rows are read,
// identified, deduplicated and spooled as their bytes arrive; once all are known, Finish decides on
// which side each goes and writes the shards. Memory: at most 40 bytes a distinct row (of the
// version that the new one begins with, too), 20 more for near-duplicates, whose signatures (128
// bytes a row) are mapped, and a fixed part (RowBatch, VersionWriter, the bands of
// near-duplicates), whatever the rows' size.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/curation.pb.h"
#include "attune/v1/datasets.pb.h"
#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/curation/findings.h"
#include "coordinator/datasets/base_version.h"
#include "coordinator/datasets/curator.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/loss_report.h"
#include "coordinator/datasets/near_duplicate_pass.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/row_batch.h"
#include "coordinator/datasets/row_spool.h"
#include "coordinator/datasets/sources/source_reader.h"
#include "coordinator/datasets/split_decision.h"
#include "coordinator/datasets/version_writer.h"

namespace attune::datasets {

inline constexpr double kValidationFractionDefault = 0.05;
inline constexpr int kRejectedRowsReported = 20;
inline constexpr size_t kIgnoredKeysReported = 50;

struct ImportOptions {
  double validation_fraction = kValidationFractionDefault;
  bool allow_unlabelled = false;  // rows without an answer are kept apart, else rejected
  LikelyAnswers likely_answers = LikelyAnswers::kRejected;
  uint64_t shard_bytes = kShardBytes;
  uint64_t examples_max = kExamplesMax;
  v1::CurationSpec curation = {};  // what is not set has its default
  // Made by it; null: rows are taken as they are.
  std::shared_ptr<const Curator> curator = nullptr;
  int threads = 0;                               // that read rows; 0: as many as the machine has
  std::optional<Format> format = std::nullopt;   // of all files; else each by what it begins with
  std::optional<char> delimiter = std::nullopt;  // of all CSV files, likewise
  Mapping mapping = {};
  CancelCheck cancelled = CancelCheck();  // asked now and then, in both passes
};

class Importer {
 public:
  Importer(const std::filesystem::path& folder, const ImportOptions& options);

  // Before the first Append: the newest version of the name, whose shards are shared where they
  // hold the same lines. An append has all of its examples; else it is only begun with, and one
  // that is damaged is left out. Errors as BaseVersion::Open.
  Status Begin(const v1::DatasetVersion& newest, BaseVersion::Use use);

  // A change of file ends the one before. Bad rows are reported, not an error; errors are a full
  // disk, too many rows or files, and a file that is damaged or cut off.
  Status Append(const std::string& file, std::string_view bytes);

  // kInvalidArgument when no row was usable.
  Result<Imported> Finish();

 private:
  Status AddRow(const SourceRow& row);
  Status ReadBatch();
  Status TakeRow(ReadRow& read);
  Status AddExample(ReadRow& read);
  // Of the rows so far, those of base_ that no row had not counted.
  uint64_t ExamplesOfVersion() const;
  // What near-duplicates decide, which takes all examples.
  Status DecideNearDuplicates();
  Status LoseBaseExamples();
  Status TakeSpooled(const SpooledRow& row, const SplitDecision& split);
  Status BeginNearDuplicates(BaseVersion::Use use);
  Status CheckAnyLeft(const Imported& imported) const;
  Status WriteShards();
  Status WriteSignatures(const Shard& shard, const ShardIndex& index) const;
  void PlaceFindings(ReadRow* read) const;
  Status AddFindings(std::string_view lines);
  Status FillFindings(Imported* imported);
  void Reject(const ReadRow& read, const std::string& reason);
  void CountIgnoredKeys(const Row& row);
  Status NothingUsable() const;

  const ImportOptions options_;
  CancelCheck cancelled_;
  SourceReader sources_;
  RowBatch batch_;
  ExampleTable examples_;
  std::unique_ptr<BaseVersion> base_;  // null: there is none
  BaseVersion::Use base_use_ = BaseVersion::Use::kReplace;
  std::vector<bool> unlabelled_;  // of the examples after base_'s
  RowSpool spool_;
  VersionWriter writer_;
  const std::filesystem::path folder_;
  curation::FindingsWriter findings_;
  curation::UndecidedFindings undecided_;
  LossReport losses_;
  ExampleTable dropped_;                     // what was dropped row by row
  std::unique_ptr<NearDuplicatePass> near_;  // null: they are not looked for
  v1::DatasetVersion base_report_;           // of base_
  uint64_t rows_ = 0, usable_ = 0;
  v1::DatasetVersion report_;  // of the files
};

}  // namespace attune::datasets
