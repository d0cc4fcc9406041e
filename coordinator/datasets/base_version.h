#pragma once

// The newest version of a name while the next one is made: on which side its examples are, which of
// its lines the next version has too, and so which of its shards the two can share. Memory beside
// the table: of an append 1 byte an example, else 9.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/shard.h"
#include "coordinator/datasets/version_writer.h"

namespace attune::datasets {

// So many shards of a split may have less than half of the usual size. One more, as many small
// appends would make, and their lines are written anew, together.
inline constexpr size_t kSmallShardsMax = 16;

// New examples by split, in the order of kSplits.
using SplitCounts = std::array<uint64_t, kSplits.size()>;

class BaseVersion {
 public:
  enum class Use {
    kAppend,   // all of its lines stay
    kReplace,  // those stay that the files have, too
  };
  // Its examples become the first of table, which must be empty. Reads the shards' indexes only.
  // kDataLoss when the version is damaged; of an append also where that is seen by a shard's size.
  static Result<std::unique_ptr<BaseVersion>> Open(const v1::DatasetVersion& version, Use use,
                                                   ExampleTable* table);

  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }  // examples
  std::string_view SplitOf(uint32_t number) const;
  // Whether the new version has the example, as its own line or the row's.
  bool IsPresent(uint32_t number) const { return states_[number] != State::kUnseen; }
  uint32_t present() const { return present_; }  // how many it has
  // The new version is not to have it after all.
  void LeaveOut(uint32_t number);
  // In the order of the table; the first error of take is returned.
  Status ForEachShard(const std::function<Status(const Shard&, uint32_t examples)>& take) const;
  // Whether the new version has, on this side, any example of this one.
  bool Has(std::string_view split) const;

  enum class Answer {
    kStays,      // the new version has the older one's line
    kReplaced,   // it has the row's own: another order of keys or metadata
    kDuplicate,  // an earlier row was the same
  };
  // A row of the files whose example the version has. hash: HashOfLine.
  Answer Take(uint32_t number, uint64_t hash);

  // Shares the shards all of whose lines stay, and copies the lines that stay of others. counts:
  // what else will be written.
  Status WriteStaying(const SplitCounts& counts, uint64_t shard_bytes, VersionWriter* writer);

 private:
  enum class State : uint8_t { kUnseen, kStays, kReplaced };
  enum class Soundness { kUnknown, kSound, kDamaged };
  struct Part {
    Shard shard;
    uint32_t first;     // number of its first example
    uint32_t examples;  // as its index has them
    Soundness soundness = Soundness::kUnknown;
  };

  BaseVersion(v1::DatasetVersion version, Use use) : version_(std::move(version)), use_(use) {}
  Status Load(ExampleTable* table);
  size_t PartOf(uint32_t number) const;
  bool IsSound(Part* part) const;
  uint64_t Count(const Part& part, State state) const;
  bool StaysWhole(const Part& part) const { return Count(part, State::kStays) == part.examples; }
  bool HasAny(const Part& part) const { return Count(part, State::kUnseen) < part.examples; }
  // The splits whose small shards are written anew.
  std::vector<std::string_view> Crowded(const SplitCounts& counts, uint64_t small_bytes) const;

  const v1::DatasetVersion version_;
  const Use use_;
  std::vector<Part> parts_;
  std::vector<State> states_;     // by number
  uint32_t present_ = 0;          // of them, not kUnseen
  std::vector<uint64_t> hashes_;  // by number; of an append empty
};

}  // namespace attune::datasets
