#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/base/utf8.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/disk_usage.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/shard_index.h"
#include "coordinator/datasets/shard_lines.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

constexpr uint32_t kShownMax = 100;
constexpr size_t kRowBytesShown = 4 << 10;

// Where an example lies.
struct Spot {
  uint32_t shard = 0, line = 0;  // numbers
};

// One of the two versions: the shards that the other one has not.
class Side {
 public:
  explicit Side(const v1::DatasetVersion& version) : version_(version) {}

  Status Load() {
    ATTUNE_ASSIGN_OR_RETURN(shards_, ReadManifest(version_));
    return Status();
  }
  // Shards of equal content hold the same examples, of which a version has each once.
  static uint64_t DropCommon(Side* one, Side* other) {
    auto key = [](const Shard& shard) { return std::pair(shard.split, shard.sha256); };
    std::set<std::pair<std::string, std::string>> ones, common;
    for (const Shard& shard : one->shards_) ones.insert(key(shard));
    uint64_t examples = 0;
    for (const Shard& shard : other->shards_) {
      if (ones.contains(key(shard)) && common.insert(key(shard)).second) {
        examples += shard.examples;
      }
    }
    for (Side* side : {one, other}) {
      std::erase_if(side->shards_, [&](const Shard& shard) { return common.contains(key(shard)); });
    }
    return examples;
  }

  Status ForEach(const std::function<void(const IndexedLine&, Spot)>& take) const {
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
      ATTUNE_ASSIGN_OR_RETURN(const ShardIndex index, ReadShardIndex(version_, shards_[shard]));
      for (uint32_t line = 0; line < index.lines.size(); ++line) {
        take(index.lines[line], {shard, line});
      }
    }
    return Status();
  }
  const std::string& SplitOf(Spot spot) const { return shards_[spot.shard].split; }

  // The row at each spot, into the text that waits for it.
  Status Read(std::map<std::pair<uint32_t, uint64_t>, std::vector<std::string*>> texts) const {
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
      std::vector<uint64_t> lines;
      for (const auto& [spot, text] : texts) {
        if (spot.first == shard) lines.push_back(spot.second);
      }
      if (lines.empty()) continue;
      ATTUNE_RETURN_IF_ERROR(ReadShardLinesAt(version_, shards_[shard], lines,
                                              [&](uint64_t line, std::string_view row) {
                                                for (std::string* text : texts[{shard, line}])
                                                  *text = Shorten(row, kRowBytesShown);
                                                return Status();
                                              }));
    }
    return Status();
  }

 private:
  const v1::DatasetVersion& version_;
  std::vector<Shard> shards_;
};

// Counts changes and remembers the first of each kind.
class Comparison {
 public:
  Comparison(const v1::DatasetVersion& before, const v1::DatasetVersion& after, uint32_t shown)
      : before_(before), after_(after), shown_(shown) {}

  Status Run(v1::DatasetDiff* diff) {
    ATTUNE_RETURN_IF_ERROR(before_.Load());
    ATTUNE_RETURN_IF_ERROR(after_.Load());
    diff->set_unchanged(Side::DropCommon(&before_, &after_));
    std::vector<uint64_t> hashes;
    std::vector<Spot> spots;
    ExampleTable examples;
    ATTUNE_RETURN_IF_ERROR(before_.ForEach([&](const IndexedLine& line, Spot spot) {
      if (!examples.Insert(line.id).added) return;
      hashes.push_back(line.hash);
      spots.push_back(spot);
    }));
    std::vector<bool> seen(examples.size());
    ATTUNE_RETURN_IF_ERROR(after_.ForEach([&](const IndexedLine& line, Spot spot) {
      const std::optional<uint32_t> number = examples.Find(line.id);
      if (!number) return Add(line.id, nullptr, &spot, diff->mutable_added());
      seen[*number] = true;
      const bool moved = before_.SplitOf(spots[*number]) != after_.SplitOf(spot);
      const bool changed = hashes[*number] != line.hash;
      if (moved) Add(line.id, &spots[*number], &spot, diff->mutable_moved());
      if (changed) Add(line.id, &spots[*number], &spot, diff->mutable_changed());
      if (!moved && !changed) diff->set_unchanged(diff->unchanged() + 1);
    }));
    for (uint32_t number = 0; number < examples.size(); ++number) {
      if (seen[number]) continue;
      Add(examples.id(number), &spots[number], nullptr, diff->mutable_removed());
    }
    ATTUNE_RETURN_IF_ERROR(before_.Read(before_texts_));
    return after_.Read(after_texts_);
  }

 private:
  void Add(const ExampleId& id, const Spot* before, const Spot* after,
           v1::DatasetDiff::Change* change) {
    change->set_examples(change->examples() + 1);
    const std::string from = before == nullptr ? "" : before_.SplitOf(*before);
    const std::string to = after == nullptr ? "" : after_.SplitOf(*after);
    const bool both = !from.empty() && !to.empty() && from != to;
    ++(*change->mutable_by_split())[both ? from + " to " + to : (to.empty() ? from : to)];
    if (change->shown_size() == static_cast<int>(shown_)) return;
    v1::DatasetDiff::Example* example = change->add_shown();
    example->set_id(FormatExampleId(id));
    example->set_before_split(from);
    example->set_after_split(to);
    if (before != nullptr) {
      before_texts_[{before->shard, before->line}].push_back(example->mutable_before());
    }
    if (after != nullptr) {
      after_texts_[{after->shard, after->line}].push_back(example->mutable_after());
    }
  }

  Side before_, after_;
  const uint32_t shown_;
  std::map<std::pair<uint32_t, uint64_t>, std::vector<std::string*>> before_texts_, after_texts_;
};

}  // namespace

Result<v1::DatasetDiff> Catalog::Diff(const v1::DiffDatasetsRequest& request) {
  if (request.examples() > kShownMax) {
    return InvalidArgument("at most " + std::to_string(kShownMax) +
                           " examples of each change can be shown")
        .WithField("examples");
  }
  ATTUNE_ASSIGN_OR_RETURN(const Held before, Hold(request.before()));
  ATTUNE_ASSIGN_OR_RETURN(const Held after, Hold(request.after()));
  v1::DatasetDiff diff;
  diff.set_before(ReferenceOf(before.version));
  diff.set_after(ReferenceOf(after.version));
  ATTUNE_RETURN_IF_ERROR(Comparison(before.version, after.version, request.examples()).Run(&diff));
  diff.set_shared_bytes(BytesShared(after.version, before.version));
  diff.set_before_bytes(before.version.bytes() -
                        std::min(before.version.bytes(), diff.shared_bytes()));
  diff.set_after_bytes(after.version.bytes() -
                       std::min(after.version.bytes(), diff.shared_bytes()));
  return diff;
}

}  // namespace attune::datasets
