#include "coordinator/datasets/base_version.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/log/log.h"
#include "coordinator/datasets/shard_index.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {

Result<std::unique_ptr<BaseVersion>> BaseVersion::Open(const v1::DatasetVersion& version, Use use,
                                                       ExampleTable* table) {
  ATTUNE_CHECK(table->size() == 0);
  std::unique_ptr<BaseVersion> base(new BaseVersion(version, use));
  ATTUNE_RETURN_IF_ERROR(base->Load(table));
  return base;
}

Status BaseVersion::Load(ExampleTable* table) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(version_));
  for (const Shard& shard : shards) {
    ATTUNE_RETURN_IF_ERROR(CheckSplit(version_, shard));
    if (use_ == Use::kAppend) ATTUNE_RETURN_IF_ERROR(CheckShardSize(version_, shard));
    ATTUNE_ASSIGN_OR_RETURN(const ShardIndex index, ReadShardIndex(version_, shard));
    parts_.push_back({shard, table->size(), static_cast<uint32_t>(index.lines.size())});
    for (const IndexedLine& line : index.lines) {
      if (!table->Insert(line.id).added) {
        return DataLoss(version_.path() + "/" + shard.file + ": example " +
                        FormatExampleId(line.id) + " is there twice");
      }
      if (use_ == Use::kReplace) hashes_.push_back(line.hash);
    }
    ATTUNE_RETURN_IF_ERROR(CheckExamples(table->size()));
  }
  states_.assign(table->size(), use_ == Use::kAppend ? State::kStays : State::kUnseen);
  present_ = use_ == Use::kAppend ? table->size() : 0;
  return Status();
}

Status BaseVersion::ForEachShard(
    const std::function<Status(const Shard&, uint32_t examples)>& take) const {
  for (const Part& part : parts_) ATTUNE_RETURN_IF_ERROR(take(part.shard, part.examples));
  return Status();
}

size_t BaseVersion::PartOf(uint32_t number) const {
  auto next = std::ranges::upper_bound(parts_, number, {}, &Part::first);
  return static_cast<size_t>(next - parts_.begin()) - 1;
}

std::string_view BaseVersion::SplitOf(uint32_t number) const {
  return parts_[PartOf(number)].shard.split;
}

bool BaseVersion::Has(std::string_view split) const {
  return std::ranges::any_of(
      parts_, [&](const Part& part) { return part.shard.split == split && HasAny(part); });
}

void BaseVersion::LeaveOut(uint32_t number) {
  present_ -= IsPresent(number) ? 1 : 0;
  states_[number] = State::kUnseen;
}

BaseVersion::Answer BaseVersion::Take(uint32_t number, uint64_t hash) {
  State& state = states_[number];
  if (state != State::kUnseen) return Answer::kDuplicate;
  const bool stays = hashes_[number] == hash && IsSound(&parts_[PartOf(number)]);
  state = stays ? State::kStays : State::kReplaced;
  ++present_;
  return stays ? Answer::kStays : Answer::kReplaced;
}

// Whoever imports a data set again because it was damaged must not get the damage again.
bool BaseVersion::IsSound(Part* part) const {
  if (part->soundness == Soundness::kUnknown) {
    const std::filesystem::path file = std::filesystem::path(version_.path()) / part->shard.file;
    Result<std::string> sha256 = Sha256OfFile(file);
    const bool sound = sha256.ok() && *sha256 == part->shard.sha256;
    part->soundness = sound ? Soundness::kSound : Soundness::kDamaged;
    if (!sound) spdlog::warn("{} is damaged; its rows are written anew", file.string());
  }
  return part->soundness == Soundness::kSound;
}

uint64_t BaseVersion::Count(const Part& part, State state) const {
  const auto first = states_.begin() + part.first;
  return static_cast<uint64_t>(
      std::count(first, first + static_cast<ptrdiff_t>(part.examples), state));
}

std::vector<std::string_view> BaseVersion::Crowded(const SplitCounts& counts,
                                                   uint64_t small_bytes) const {
  std::vector<std::string_view> crowded;
  for (size_t i = 0; i < kSplits.size(); ++i) {
    bool writes = counts[i] > 0;
    size_t small = 0;
    for (const Part& part : parts_) {
      if (part.shard.split != kSplits[i]) continue;
      const bool whole = StaysWhole(part);
      small += whole && part.shard.bytes < small_bytes ? 1 : 0;
      writes |= !whole && HasAny(part);
    }
    if (writes && small >= kSmallShardsMax) crowded.push_back(kSplits[i]);
  }
  return crowded;
}

Status BaseVersion::WriteStaying(const SplitCounts& counts, uint64_t shard_bytes,
                                 VersionWriter* writer) {
  const std::vector<std::string_view> crowded = Crowded(counts, shard_bytes / 2);
  auto shared = [&](const Part& part) {
    const bool small = part.shard.bytes < shard_bytes / 2;
    return StaysWhole(part) &&
           !(small && std::ranges::find(crowded, part.shard.split) != crowded.end());
  };
  for (const bool whole : {true, false}) {
    for (const Part& part : parts_) {
      if (Count(part, State::kStays) == 0 || shared(part) != whole) continue;
      ATTUNE_ASSIGN_OR_RETURN(const ShardIndex index, ReadShardIndex(version_, part.shard));
      Status status = whole ? writer->Share(version_, part.shard, index)
                            : writer->Copy(version_, part.shard, index, [&](size_t line) {
                                return states_[part.first + line] == State::kStays;
                              });
      if (!status.ok()) return status;
    }
  }
  return Status();
}

}  // namespace attune::datasets
