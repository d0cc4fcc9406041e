#pragma once

// Turns the bytes of JSONL files into shards and a report. Memory: one line, 20 bytes a distinct
// row, and the report, whatever the size of the files.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/id_set.h"
#include "coordinator/datasets/line_reader.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/shard_writer.h"

namespace attune::datasets {

inline constexpr double kValidationFractionDefault = 0.05;
inline constexpr uint64_t kExamplesMax = 200'000'000;
inline constexpr int kRejectedRowsReported = 20;
inline constexpr size_t kIgnoredKeysReported = 50;
inline constexpr int kSourcesMax = 10'000;

struct Imported {
  v1::DatasetVersion report;  // all but name, version, created and path
  std::vector<Shard> shards;  // train first, by number
};

class Importer {
 public:
  Importer(const std::filesystem::path& folder, double validation_fraction,
           uint64_t shard_bytes = kShardBytes);

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
  Status PlaceWithheld();
  void Reject(uint64_t line, const std::string& reason);
  void CountIgnoredKeys(const Row& row);
  Status NothingUsable() const;
  void FillReport();

  const double validation_fraction_;
  LineReader lines_;
  ShardWriter train_, validation_;
  IdSet ids_;
  std::vector<uint32_t> lengths_;  // characters of each example
  uint64_t kinds_[3] = {0, 0, 0};
  // The lowest id so far, while validation is empty.
  std::optional<Row> withheld_;
  std::string file_;
  uint64_t rows_ = 0;
  v1::DatasetVersion report_;
};

// sha256 of the shards' checksums, in order.
std::string ChecksumOf(const std::vector<Shard>& shards);

// The content of manifest.json.
std::string ManifestJson(const v1::DatasetVersion& version, const std::vector<Shard>& shards);

}  // namespace attune::datasets
