#include "worker/engine/data/token_cache.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <system_error>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/data/held_file.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kTokensVersion = 3;  // raise it when the same input gives other tokens
constexpr std::string_view kTokens = ".tokens", kLock = ".lock", kTemporary = ".tmp";
constexpr size_t kShardDigits = 32;

// Nothing for the first of them, so that what was cached before there were others stays.
std::string DescribeObjective(const Objective& objective) {
  if (objective.type == "causal-lm") return "";
  std::string text = objective.type + "\n";
  for (const std::string& label : objective.labels) {
    text += std::to_string(label.size()) + " " + label + "\n";
  }
  return text;
}

// What the tokens of any text follow from.
std::string Describe(const TokenizeOptions& options) {
  return options.assets.fingerprint + "\n" + std::to_string(options.sequence_length) + "\n" +
         (options.loss_on_all ? "all" : "targets") + "\n" +
         std::to_string(options.vocabulary_size) + "\n" + DescribeObjective(options.objective);
}

std::string FolderKey(const TokenizeOptions& options) {
  return Sha256Hex("attune token shards " + std::to_string(kTokensVersion) + "." +
                   std::to_string(kShardVersion) + "\n" + Describe(options));
}

// Calls visit(name) with the name of each entry; a folder that is not there has none.
template <typename Visit>
void EachName(const fs::path& folder, const Visit& visit) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    visit(it->path().filename().string());
  }
}

bool IsOlder(const fs::path& path, std::chrono::seconds age, fs::file_time_type now) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  return !error && now - written > age;
}

// Removes what is unfinished of a shard that nobody works on: its lock is free, which another host
// may not see, and nobody has written to the file for long, by the clock of the file system, which
// is that of a file just touched there.
void SweepShard(const fs::path& folder, const std::string& shard,
                const std::vector<std::string>& unfinished) {
  constexpr std::chrono::minutes kSilentMax(10);   // a writer's buffers are written far sooner
  constexpr std::chrono::hours kWithoutLocks(48);  // nobody tokenizes one shard for so long
  const fs::path lock_file = folder / (shard + std::string(kLock));
  const auto lock = FileLock::Try(lock_file);
  std::chrono::seconds age = kWithoutLocks;
  auto now = fs::file_time_type::clock::now();
  std::error_code error;
  if (lock.ok()) {
    lock->Touch();
    age = kSilentMax;
    now = fs::last_write_time(lock_file, error);
    if (error) return;  // another host took the lock's file away
  }
  for (const std::string& name : unfinished) {
    if (IsOlder(folder / name, age, now)) fs::remove(folder / name, error);
  }
}

void SweepKey(const fs::path& folder) {
  std::map<std::string, std::vector<std::string>> left;
  EachName(folder, [&](const std::string& name) {
    const std::string_view rest =
        std::string_view(name).substr(std::min(kShardDigits, name.size()));
    if (rest == kLock) left[name.substr(0, kShardDigits)];
    if (rest.starts_with(std::string(kTokens) + std::string(kTemporary))) {
      left[name.substr(0, kShardDigits)].push_back(name);
    }
  });
  for (const auto& [shard, unfinished] : left) SweepShard(folder, shard, unfinished);
}

}  // namespace

std::string DatasetTokensKey(const std::string& dataset_checksum, const TokenizeOptions& options) {
  return Sha256Hex("attune tokens " + std::to_string(kTokensVersion) + "\n" + dataset_checksum +
                   "\n" + Describe(options));
}

TokenCache::TokenCache(fs::path root, const TokenizeOptions& options)
    : options_(options), folder_(std::move(root) / FolderKey(options)) {}

std::string TokenCache::NameOf(const DatasetShard& shard) {
  return shard.sha256.substr(0, kShardDigits);
}

fs::path TokenCache::FileOf(const DatasetShard& shard) const {
  return folder_ / (NameOf(shard) + std::string(kTokens));
}

fs::path TokenCache::LockFile(const DatasetShard& shard) const {
  return folder_ / (NameOf(shard) + std::string(kLock));
}

std::set<std::string> TokenCache::List() const {
  std::set<std::string> shards;
  EachName(folder_, [&](const std::string& name) {
    const std::string shard = name.substr(0, kShardDigits);
    if (std::string_view(name).substr(shard.size()) == kTokens) shards.insert(shard);
  });
  return shards;
}

Result<CachedShard> TokenCache::Open(const DatasetShard& shard) const {
  CachedShard cached;
  ATTUNE_ASSIGN_OR_RETURN(cached.tokens, TokenFile::Open(FileOf(shard)));
  auto counts = ReadShardNotes(cached.tokens->notes(), shard.sha256);
  if (!counts.ok()) return counts.status().WithContext(FileOf(shard).string());
  cached.counts = std::move(*counts);
  return cached;
}

bool TokenCache::Has(const DatasetShard& shard) const {
  std::error_code error;
  return fs::exists(FileOf(shard), error);
}

Result<bool> TokenCache::RemoveDamaged(const DatasetShard& shard) const {
  const auto held = HeldFile::Open(FileOf(shard));
  if (held.status().code() == StatusCode::kNotFound) return false;
  if (!held.ok()) return held.status();
  const auto opened = Open(shard);
  const Status found = opened.ok() ? opened->tokens->CheckExamples() : opened.status();
  if (found.ok()) return true;
  if (found.code() == StatusCode::kNotFound) return false;
  if (found.code() != StatusCode::kDataLoss) return found;
  if (!held->IsNamed()) return false;  // another host, whose lock we cannot see, has removed it
  std::error_code error;
  fs::remove(FileOf(shard), error);
  if (error) return ErrnoStatus(error.value(), "remove " + FileOf(shard).string());
  return false;
}

Result<FileLock> TokenCache::Lock(const DatasetShard& shard) const {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder_));
  return FileLock::Try(LockFile(shard));
}

Status TokenCache::Make(const DatasetShard& shard, int threads,
                        const ShardProgress& progress) const {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder_));
  ATTUNE_ASSIGN_OR_RETURN(ShardWriter writer, ShardWriter::Create(FileOf(shard)));
  auto counts = TokenizeShard(shard, options_, threads, &writer, progress);
  if (!counts.ok()) {
    // What a dataset lacks must not be taken for an unfinished file that is gone.
    if (counts.status().code() != StatusCode::kNotFound) return counts.status();
    return DataLoss(counts.status().message());
  }
  return writer.Commit(ShardNotes(*counts, shard.sha256));
}

void SweepTokenCache(const fs::path& root) {
  constexpr std::chrono::hours kOldFormatKept(24);  // a trainer of the release before may need it
  std::vector<fs::path> keys;
  EachName(root, [&](const std::string& name) { keys.push_back(root / name); });
  for (const fs::path& key : keys) {
    std::error_code ignored;
    const bool unfinished = key.filename().string().find(kTemporary) != std::string::npos;
    if (!unfinished && !fs::exists(key / "prepared.json", ignored)) {
      SweepKey(key);
    } else if (IsOlder(key, kOldFormatKept, fs::file_time_type::clock::now())) {
      fs::remove_all(key, ignored);
    }
  }
}

}  // namespace attune::engine
