#include "coordinator/datasets/importer.h"

#include <algorithm>
#include <limits>

#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kFileNameBytesMax = 1024;
constexpr int kReasonsInMessage = 3;

}  // namespace

Importer::Importer(const std::filesystem::path& folder, double validation_fraction,
                   uint64_t shard_bytes)
    : validation_fraction_(validation_fraction),
      lines_(kLineBytesMax, [this](const Line& line) { return AddLine(line); }),
      train_(folder, "train", shard_bytes),
      validation_(folder, "validation", shard_bytes) {}

Status Importer::Append(const std::string& file, std::string_view bytes) {
  if (report_.sources_size() == 0 || file != file_) {
    ATTUNE_RETURN_IF_ERROR(lines_.EndFile());
    if (report_.sources_size() == kSourcesMax) {
      return InvalidArgument("more than " + std::to_string(kSourcesMax) + " files in one import");
    }
    file_ = file;
    report_.add_sources(Shorten(file, kFileNameBytesMax));
  }
  return lines_.Append(bytes);
}

Status Importer::AddLine(const Line& line) {
  if (line.too_long) {
    ++rows_;
    Reject(line.number, "longer than " + std::to_string(kLineBytesMax >> 20) + " MiB");
    return Status();
  }
  if (IsBlank(line.text)) return Status();
  ++rows_;
  Result<Row> row = ParseRow(line.text);
  if (!row.ok()) {
    Reject(line.number, row.status().message());
    return Status();
  }
  CountIgnoredKeys(*row);
  if (!ids_.Insert(row->id)) {
    report_.set_duplicates(report_.duplicates() + 1);
    return Status();
  }
  if (ids_.size() > kExamplesMax) {
    return ResourceExhausted("more than " + std::to_string(kExamplesMax) +
                             " examples in one dataset: split it into several");
  }
  return AddExample(*row);
}

Status Importer::AddExample(const Row& row) {
  ++kinds_[static_cast<size_t>(row.kind)];
  lengths_.push_back(static_cast<uint32_t>(
      std::min<uint64_t>(row.characters, std::numeric_limits<uint32_t>::max())));
  if (SplitOf(row.id, validation_fraction_) == "validation") {
    ATTUNE_RETURN_IF_ERROR(validation_.Append(ShardLine(row)));
    return PlaceWithheld();
  }
  return AddTrainExample(row);
}

Status Importer::AddTrainExample(const Row& row) {
  if (validation_fraction_ <= 0 || validation_.examples() > 0) return train_.Append(ShardLine(row));
  if (!withheld_) {
    withheld_ = row;
    return Status();
  }
  if (row.id > withheld_->id) return train_.Append(ShardLine(row));
  ATTUNE_RETURN_IF_ERROR(train_.Append(ShardLine(*withheld_)));
  withheld_ = row;
  return Status();
}

// To train, as validation has an example of its own, or is not wanted at the price of an empty
// train.
Status Importer::PlaceWithheld() {
  if (!withheld_) return Status();
  Row row = *std::move(withheld_);
  withheld_.reset();
  return train_.Append(ShardLine(row));
}

void Importer::Reject(uint64_t line, const std::string& reason) {
  report_.set_rejected(report_.rejected() + 1);
  if (report_.rejected_rows_size() == kRejectedRowsReported) return;
  v1::RejectedRow* row = report_.add_rejected_rows();
  row->set_file(Shorten(file_, kFileNameBytesMax));
  row->set_line(line);
  row->set_reason(reason);
}

void Importer::CountIgnoredKeys(const Row& row) {
  auto& counts = *report_.mutable_ignored_keys();
  for (const std::string& key : row.ignored_keys) {
    if (counts.size() < kIgnoredKeysReported || counts.contains(key)) ++counts[key];
  }
}

Status Importer::NothingUsable() const {
  if (rows_ == 0) return InvalidArgument("the files have no rows");
  std::string message = "none of the " + std::to_string(rows_) + " rows can be used";
  for (int i = 0; i < std::min(report_.rejected_rows_size(), kReasonsInMessage); ++i) {
    const v1::RejectedRow& row = report_.rejected_rows(i);
    message += (i == 0 ? ": " : "; ") + row.file() + ":" + std::to_string(row.line()) + ": " +
               row.reason();
  }
  return InvalidArgument(message);
}

Result<Imported> Importer::Finish() {
  ATTUNE_RETURN_IF_ERROR(lines_.EndFile());
  if (ids_.size() == 0) return NothingUsable();
  if (withheld_ && train_.examples() > 0) {
    ATTUNE_RETURN_IF_ERROR(validation_.Append(ShardLine(*withheld_)));
    withheld_.reset();
  }
  ATTUNE_RETURN_IF_ERROR(PlaceWithheld());
  ATTUNE_RETURN_IF_ERROR(train_.Finish());
  ATTUNE_RETURN_IF_ERROR(validation_.Finish());
  FillReport();
  Imported imported{report_, train_.shards()};
  imported.shards.insert(imported.shards.end(), validation_.shards().begin(),
                         validation_.shards().end());
  imported.report.set_checksum(ChecksumOf(imported.shards));
  for (const Shard& shard : imported.shards) {
    imported.report.set_bytes(imported.report.bytes() + shard.bytes);
  }
  return imported;
}

void Importer::FillReport() {
  (*report_.mutable_examples())["train"] = train_.examples();
  (*report_.mutable_examples())["validation"] = validation_.examples();
  int kinds = 0;
  for (size_t kind = 0; kind < std::size(kinds_); ++kind) {
    if (kinds_[kind] == 0) continue;
    ++kinds;
    report_.set_shape(std::string(RowKindName(static_cast<RowKind>(kind))));
  }
  if (kinds > 1) report_.set_shape("mixed");
  auto middle = lengths_.begin() + static_cast<ptrdiff_t>(lengths_.size() / 2);
  std::nth_element(lengths_.begin(), middle, lengths_.end());
  report_.set_characters_median(*middle);
  report_.set_characters_max(*std::max_element(middle, lengths_.end()));
}

std::string ChecksumOf(const std::vector<Shard>& shards) {
  Sha256 hash;
  for (const Shard& shard : shards) hash.Update(shard.sha256);
  return hash.Hex();
}

}  // namespace attune::datasets
