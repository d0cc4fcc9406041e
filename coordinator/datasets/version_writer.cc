#include "coordinator/datasets/version_writer.h"

#include <algorithm>

#include "common/base/hash.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {

Status CheckExamples(uint64_t examples, uint64_t max) {
  if (examples <= max) return Status();
  return ResourceExhausted("more than " + std::to_string(max) +
                           " examples in one dataset: split it into several");
}

Status CheckSplit(const v1::DatasetVersion& version, const Shard& shard) {
  if (std::ranges::find(kSplits, shard.split) != kSplits.end()) return Status();
  return DataLoss(version.path() + "/manifest.json: the split \"" + shard.split +
                  "\" is not known");
}

VersionWriter::VersionWriter(const std::filesystem::path& folder, uint64_t shard_bytes,
                             CancelCheck cancelled)
    : cancelled_(std::move(cancelled)),
      splits_{ShardWriter(folder, std::string(kSplits[0]), shard_bytes, &keys_),
              ShardWriter(folder, std::string(kSplits[1]), shard_bytes, &keys_),
              ShardWriter(folder, std::string(kSplits[2]), shard_bytes, &keys_)} {}

ShardWriter* VersionWriter::Find(std::string_view split) {
  auto it = std::ranges::find(splits_, split, &ShardWriter::split);
  ATTUNE_CHECK(it != splits_.end());
  return &*it;
}

Status VersionWriter::Add(std::string_view split, const LineFacts& facts, std::string_view line) {
  ++kinds_[static_cast<size_t>(facts.kind)];
  lengths_.Add(facts.characters);
  for (size_t key = 0; key < keys_.keys().size(); ++key) {
    examples_by_key_[key] += facts.metadata_keys >> key & 1;
  }
  return Find(split)->Append(facts, line);
}

Status VersionWriter::Share(const v1::DatasetVersion& version, const Shard& shard,
                            const ShardIndex& index) {
  ATTUNE_RETURN_IF_ERROR(cancelled_.Now());
  ATTUNE_RETURN_IF_ERROR(CheckSplit(version, shard));
  ATTUNE_RETURN_IF_ERROR(CheckShardSize(version, shard));
  for (size_t kind = 0; kind < kRowKinds; ++kind) kinds_[kind] += index.kinds[kind];
  for (const IndexedLine& line : index.lines) lengths_.Add(line.characters);
  for (const auto& [key, lines] : index.metadata_keys) {
    const size_t bit = keys_.BitOf(key);
    if (bit < kMetadataKeysReported) examples_by_key_[bit] += lines;
  }
  return Find(shard.split)->Share(version, shard, index);
}

Status VersionWriter::Copy(const v1::DatasetVersion& version, const Shard& shard,
                           const ShardIndex& index, const std::function<bool(size_t)>& wanted) {
  ATTUNE_RETURN_IF_ERROR(CheckSplit(version, shard));
  size_t number = 0;
  return ReadShard(version, shard, [&](std::string_view line) -> Status {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    const size_t i = number++;
    if (i >= index.lines.size()) {
      return DataLoss(version.path() + "/" + shard.file + ": more lines than it had");
    }
    if (!wanted(i)) return Status();
    ATTUNE_ASSIGN_OR_RETURN(const Row row, ParseShardLine(line));
    return Add(shard.split, FactsOf(row, index.lines[i].hash, &keys_), std::string(line) + "\n");
  });
}

Result<Imported> VersionWriter::Finish() {
  Imported imported;
  uint64_t stored_bytes = 0;
  for (ShardWriter& split : splits_) {
    ATTUNE_RETURN_IF_ERROR(split.Finish());
    stored_bytes += split.stored_bytes();
    imported.shards.insert(imported.shards.end(), split.shards().begin(), split.shards().end());
  }
  FillReport();
  for (const Shard& shard : imported.shards) report_.set_bytes(report_.bytes() + shard.bytes);
  report_.set_stored_bytes(stored_bytes);
  report_.set_checksum(ChecksumOf(imported.shards));
  imported.report = std::move(report_);
  return imported;
}

void VersionWriter::FillReport() {
  const uint64_t unlabelled = Find("unlabelled")->examples();
  (*report_.mutable_examples())["train"] = Find("train")->examples();
  (*report_.mutable_examples())["validation"] = Find("validation")->examples();
  report_.set_unlabelled(unlabelled);
  if (unlabelled > 0) (*report_.mutable_examples())["unlabelled"] = unlabelled;
  // Of what is learned; of the prompts only when there is nothing else.
  int kinds = 0;
  for (RowKind kind :
       {RowKind::kMessages, RowKind::kPromptCompletion, RowKind::kText, RowKind::kPreference}) {
    const uint64_t examples = kinds_[static_cast<size_t>(kind)];
    if (examples == 0) continue;
    ++kinds;
    (*report_.mutable_kinds())[std::string(RowKindName(kind))] = examples;
    report_.set_shape(std::string(RowKindName(kind)));
  }
  if (kinds > 1) report_.set_shape("mixed");
  if (kinds == 0) report_.set_shape(std::string(RowKindName(RowKind::kPrompt)));
  for (size_t key = 0; key < keys_.keys().size(); ++key) {
    if (examples_by_key_[key] == 0) continue;
    (*report_.mutable_metadata_keys())[keys_.keys()[key]] = examples_by_key_[key];
  }
  report_.set_characters_median(lengths_.Median());
  report_.set_characters_max(lengths_.Max());
}

std::string ChecksumOf(const std::vector<Shard>& shards) {
  Sha256 hash;
  for (const Shard& shard : shards) hash.Update(shard.sha256);
  return hash.Hex();
}

}  // namespace attune::datasets
