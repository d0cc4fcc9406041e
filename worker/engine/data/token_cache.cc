#include "worker/engine/data/token_cache.h"

#include <chrono>
#include <cstdio>
#include <system_error>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/parallel_for.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kFormatVersion = 2;  // raise it when the same input gives other tokens
constexpr size_t kExamplesABatch = 1024;
constexpr char kTrain[] = "train.tokens";
constexpr char kValidation[] = "validation.tokens";
constexpr char kCounts[] = "prepared.json";
constexpr std::string_view kTemporary = ".tmp-";
// What a killed process left is removed after this time; nobody tokenizes one dataset for so long.
constexpr auto kTemporaryAgeMax = std::chrono::hours(48);

// A folder that is removed again unless it is given its name.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> Create(const fs::path& beside) {
    fs::path path = beside.string() + std::string(kTemporary) + NewToken().substr(0, 12);
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return ErrnoStatus(error.value(), "create " + path.string());
    return TemporaryFolder(path);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

  // Not an error when the name is taken: another process was faster.
  Status Commit(const fs::path& name) {
    ATTUNE_RETURN_IF_ERROR(SyncFolder(path_));
    if (std::rename(path_.c_str(), name.c_str()) == 0) {
      path_.clear();
      return SyncFolder(name.parent_path());
    }
    if (errno == ENOTEMPTY || errno == EEXIST) return Status();
    return ErrnoStatus(errno, "rename " + path_.string());
  }

 private:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

void RemoveAbandoned(const fs::path& cache) {
  std::error_code error;
  auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().find(kTemporary) == std::string::npos) continue;
    std::error_code ignored;
    auto written = fs::last_write_time(it->path(), ignored);
    if (!ignored && now - written > kTemporaryAgeMax) fs::remove_all(it->path(), ignored);
  }
}

// Tokenizes the splits of a version into one shard each.
class VersionTokenizer {
 public:
  VersionTokenizer(const DatasetVersionFiles& version, const TokenizeOptions& options, int threads,
                   const TokenizeProgress& progress)
      : version_(version), options_(options), threads_(threads), progress_(progress) {}

  Status Run(const fs::path& folder) {
    ATTUNE_RETURN_IF_ERROR(Split("train", folder / kTrain, &counts_.train));
    if (counts_.train.used() == 0) return NothingToLearn(counts_, options_.sequence_length);
    return Split("validation", folder / kValidation, &counts_.validation);
  }

  const PreparedCounts& counts() const { return counts_; }

 private:
  Status Split(std::string_view split, const fs::path& file, SplitCounts* counts) {
    ATTUNE_ASSIGN_OR_RETURN(ShardWriter writer, ShardWriter::Create(file));
    for (const DatasetShard& shard : version_.shards) {
      if (shard.split != split) continue;
      ATTUNE_RETURN_IF_ERROR(
          ReadShardLines(shard, kExamplesABatch, [&](const std::vector<std::string_view>& lines) {
            return Batch(lines, &writer, counts);
          }));
    }
    return writer.Commit();
  }

  Status Batch(const std::vector<std::string_view>& lines, ShardWriter* writer,
               SplitCounts* counts) {
    std::vector<TokenizedExample> examples(lines.size());
    ATTUNE_RETURN_IF_ERROR(ParallelFor(lines.size(), threads_, [&](size_t i) {
      auto example = TokenizeExample(lines[i], options_);
      if (!example.ok()) return example.status();
      examples[i] = std::move(*example);
      return Status();
    }));
    for (const TokenizedExample& example : examples) {
      Count(example, counts);
      if (!example.has_target) continue;
      ATTUNE_RETURN_IF_ERROR(writer->Add(example.tokens, example.targets, example.id));
    }
    const uint64_t all = version_.Examples("train") + version_.Examples("validation");
    ATTUNE_RETURN_IF_ERROR(CheckUnusable(counts_, static_cast<int64_t>(all)));
    return progress_(lines.size());
  }

  void Count(const TokenizedExample& example, SplitCounts* counts) {
    ++counts->examples;
    counts->truncated += example.truncated;
    if (example.unusable.empty()) {
      counts->without_target += !example.has_target;
      return;
    }
    ++counts->unusable;
    if (counts_.unusable.size() < kUnusableNamed) counts_.unusable.push_back(example.unusable);
  }

  const DatasetVersionFiles& version_;
  const TokenizeOptions& options_;
  const int threads_;
  const TokenizeProgress& progress_;
  PreparedCounts counts_;
};

Result<CachedTokens> OpenFiles(const fs::path& folder) {
  CachedTokens cached;
  ATTUNE_ASSIGN_OR_RETURN(cached.counts, ReadPreparedJson(folder / kCounts));
  ATTUNE_ASSIGN_OR_RETURN(cached.train, TokenShard::Open(folder / kTrain));
  ATTUNE_ASSIGN_OR_RETURN(cached.validation, TokenShard::Open(folder / kValidation));
  return cached;
}

}  // namespace

std::string TokenCacheKey(const std::string& dataset_checksum, const TokenizeOptions& options) {
  return Sha256Hex("attune tokens " + std::to_string(kFormatVersion) + "\n" + dataset_checksum +
                   "\n" + options.assets.fingerprint + "\n" +
                   std::to_string(options.sequence_length) + "\n" +
                   (options.loss_on_all ? "all" : "targets") + "\n" +
                   std::to_string(options.vocabulary_size) + "\n");
}

Result<CachedTokens> OpenCachedTokens(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return NotFound("there is no " + folder.string());
  auto cached = OpenFiles(folder);
  if (!cached.ok() && cached.status().code() == StatusCode::kNotFound) {
    return DataLoss(cached.status().message());  // it was whole when it got its name
  }
  return cached;
}

Status MakeCachedTokens(const fs::path& folder, const DatasetVersionFiles& version,
                        const TokenizeOptions& options, int threads,
                        const TokenizeProgress& progress) {
  RemoveAbandoned(folder.parent_path());
  ATTUNE_ASSIGN_OR_RETURN(TemporaryFolder temporary, TemporaryFolder::Create(folder));
  VersionTokenizer tokenizer(version, options, threads, progress);
  ATTUNE_RETURN_IF_ERROR(tokenizer.Run(temporary.path()));
  ATTUNE_RETURN_IF_ERROR(
      WriteFileAtomically(temporary.path() / kCounts,
                          PreparedJson(tokenizer.counts(), kFormatVersion, version.checksum)));
  return temporary.Commit(folder);
}

}  // namespace attune::engine
