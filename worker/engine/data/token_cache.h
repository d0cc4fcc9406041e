#pragma once

// The token cache: a folder of a key, which is the sha256 of all that tokens follow from but the
// text (tokenizer, template, length, targets, vocabulary, format), and in it a token file for each
// shard of any dataset version, named by the shard's sha256. So versions that share shards share
// their tokens. Private to this folder.
//
//   KEY/SHARD.tokens           whole: it got its name when it was written and synced
//   KEY/SHARD.tokens.tmp.XXXX  in the making, or left by a process that died
//   KEY/SHARD.lock             held by who makes it (flock), so that others make other shards
//
// A lock may be good within one host only (NFS with local_lock, some FUSE): it saves work, and what
// it guards is safe without it. A name is given once and never replaced, so that nobody loses a
// file that is mapped; an unfinished file is removed when it is old; a damaged one after another
// look.

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "common/base/file_lock.h"
#include "common/base/status.h"
#include "worker/engine/data/dataset_version.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/prepared_counts.h"
#include "worker/engine/data/shard_tokenizer.h"
#include "worker/engine/data/token_file.h"

namespace attune::engine {

// What there is of a dataset version in `folder` of a token cache; the key of its tokens, as
// checkpoints know it.
std::string DatasetTokensKey(const std::string& dataset_checksum, const TokenizeOptions& options);

struct CachedShard {
  std::shared_ptr<const TokenFile> tokens;
  ShardCounts counts;
};

class TokenCache {
 public:
  TokenCache(std::filesystem::path root, const TokenizeOptions& options);

  // The names of the shards that are there: a listing, to be asked once for many shards.
  std::set<std::string> List() const;

  // As TokenFile::Open. kNotFound when the shard is not there.
  Result<CachedShard> Open(const DatasetShard& shard) const;
  bool Has(const DatasetShard& shard) const;
  // Of a shard that was found damaged or not there: removes it if it is damaged, and not what
  // another has made in its place meanwhile. To be called with its lock, where there are locks.
  // Whether a whole one was found.
  Result<bool> RemoveDamaged(const DatasetShard& shard) const;

  // As FileLock::Try.
  Result<FileLock> Lock(const DatasetShard& shard) const;
  std::filesystem::path LockFile(const DatasetShard& shard) const;

  // Makes the shard's file, whole or not at all; one that another made meanwhile stays. kNotFound
  // when another process took our unfinished file for one that a dead one had left.
  Status Make(const DatasetShard& shard, int threads, const ShardProgress& progress) const;

  // The first 32 digits of the shard's sha256.
  static std::string NameOf(const DatasetShard& shard);

 private:
  std::filesystem::path FileOf(const DatasetShard& shard) const;

  const TokenizeOptions& options_;
  const std::filesystem::path folder_;
};

// Removes from a cache, below all keys, what processes that died have left, and the folders that
// the format before this one kept for a day without a change.
void SweepTokenCache(const std::filesystem::path& root);

}  // namespace attune::engine
