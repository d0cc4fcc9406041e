#pragma once

// Turns the bytes of JSONL files into shards and a report. Memory: one line, 20 bytes a distinct
// row (of an appended version those of both), and the report, whatever the size of the files.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/line_reader.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/version_writer.h"

namespace attune::datasets {

inline constexpr double kValidationFractionDefault = 0.05;
inline constexpr int kRejectedRowsReported = 20;
inline constexpr size_t kIgnoredKeysReported = 50;
inline constexpr int kSourcesMax = 10'000;

struct ImportOptions {
  double validation_fraction = kValidationFractionDefault;
  bool allow_unlabelled = false;  // rows without an answer are kept apart, else rejected
  LikelyAnswers likely_answers = LikelyAnswers::kRejected;
  uint64_t shard_bytes = kShardBytes;
};

class Importer {
 public:
  Importer(const std::filesystem::path& folder, const ImportOptions& options);

  // Before the first Append: begins with all examples of a version, each on its side.
  Status Begin(const v1::DatasetVersion& version);

  // A change of file ends the one before. Bad rows are reported, not an error; errors are a full
  // disk and too many rows or files.
  Status Append(const std::string& file, std::string_view bytes);

  // kInvalidArgument when no row was usable. When no example fell to validation although the
  // fraction is above zero and there are at least two, the one nearest to the border (the lowest
  // id) is moved there.
  Result<Imported> Finish();

 private:
  Status AddLine(const Line& line);
  Status AddExample(const Row& row);
  Status AddTrainExample(const Row& row);
  Status Add(std::string_view split, const Row& row);
  Status PlaceWithheld();
  void Reject(uint64_t line, const std::string& reason);
  void CountIgnoredKeys(const Row& row);
  Status NothingUsable() const;

  const ImportOptions options_;
  LineReader lines_;
  VersionWriter writer_;
  // The lowest id so far, while validation is empty.
  std::optional<Row> withheld_;
  std::string file_;
  uint64_t rows_ = 0, usable_ = 0;
  v1::DatasetVersion report_;  // of the files
};

}  // namespace attune::datasets
