#pragma once

// Turns the bytes of files into shards and a report, in two passes: rows are read,
// identified, deduplicated and spooled as their bytes arrive; once all are known, Finish decides on
// which side each goes and writes the shards. Memory: at most 40 bytes a distinct row (of the
// version that the new one begins with, too) and a fixed part (RowBatch, VersionWriter), whatever
// the rows' size.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/base_version.h"
#include "coordinator/datasets/example_table.h"
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
  int threads = 0;                              // that read rows; 0: as many as the machine has
  std::optional<Format> format = std::nullopt;  // of all files; else each by what it begins with
  Mapping mapping = {};
  std::function<bool()> cancelled = nullptr;  // asked now and then; may be null
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
  Status AddExample(const ReadRow& read);
  Status WriteShards();
  void Reject(const ReadRow& read, const std::string& reason);
  void CountIgnoredKeys(const Row& row);
  Status NothingUsable() const;

  const ImportOptions options_;
  SourceReader sources_;
  RowBatch batch_;
  ExampleTable examples_;
  std::unique_ptr<BaseVersion> base_;  // null: there is none
  std::vector<bool> unlabelled_;       // of the examples after base_'s
  RowSpool spool_;
  VersionWriter writer_;
  uint64_t rows_ = 0, usable_ = 0;
  v1::DatasetVersion report_;  // of the files
};

}  // namespace attune::datasets
