#pragma once

// Near-duplicates among the examples of a version in the making, numbered as in its ExampleTable:
// those of the version that it begins with first. Signatures are kept beside shards
// (SPLIT-HASH.minhash), so that what is appended to is not read again.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/curation.pb.h"
#include "attune/v1/datasets.pb.h"
#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/curation/cluster_decision.h"
#include "coordinator/curation/near_duplicates.h"
#include "coordinator/datasets/base_version.h"
#include "coordinator/datasets/shard.h"

namespace attune::datasets {

// "train-0123456789abcdef.minhash" of "train-0123456789abcdef.jsonl".
std::string SignatureFileOf(const Shard& shard);

class NearDuplicatePass {
 public:
  // folder: of the version in the making; scratch files are in a folder below it until Finish.
  // spec: filled in, and not off.
  static Result<std::unique_ptr<NearDuplicatePass>> Create(const std::filesystem::path& folder,
                                                           const v1::NearDuplicatesSpec& spec,
                                                           BaseVersion::Use use,
                                                           CancelCheck cancelled = {});
  ~NearDuplicatePass();

  // A shard of the version that it begins with, in the table's order; examples: lines of it. Makes
  // the signatures from the shard's lines where none are kept. Those of a damaged shard are like
  // no other's.
  Status AddBase(const v1::DatasetVersion& version, const Shard& shard, uint64_t examples);
  // The next new example's.
  Status Add(const curation::Signature& signature) { return near_->Add(signature); }

  // Once all are there. base: null where there is none.
  Status Decide(const BaseVersion* base, const std::vector<bool>& unlabelled);
  const curation::ClusterDecision& decision() const { return *decision_; }

  // Writes the signatures of a shard of the new version, whose lines are of these examples, or
  // links those that are kept of it.
  Status WriteFile(const std::filesystem::path& folder, const Shard& shard,
                   const std::vector<uint32_t>& examples) const;
  // Removes the scratch folder.
  Status Finish();

 private:
  NearDuplicatePass(std::filesystem::path scratch, v1::NearDuplicatesSpec spec,
                    BaseVersion::Use use, CancelCheck cancelled, curation::NearDuplicates near);
  Status MakeSignatures(const v1::DatasetVersion& version, const Shard& shard, uint64_t first,
                        uint64_t examples, const std::filesystem::path& file);

  const std::filesystem::path scratch_;
  const v1::NearDuplicatesSpec spec_;
  const BaseVersion::Use use_;
  CancelCheck cancelled_;
  // Examples from first on, whose signatures only stand for those that cannot be made.
  struct MadeUp {
    uint64_t first, examples;
  };

  std::map<std::string, std::filesystem::path> kept_;  // sound files, by their shard's SHA-256
  uint64_t base_examples_ = 0;
  std::vector<MadeUp> made_up_;
  std::unique_ptr<curation::NearDuplicates> near_;
  std::unique_ptr<curation::ClusterDecision> decision_;
};

}  // namespace attune::datasets
