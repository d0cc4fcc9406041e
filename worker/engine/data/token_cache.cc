#include "worker/engine/data/token_cache.h"

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/parallel_for.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kFormatVersion = 1;  // raise it when the same input gives other tokens
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

// Tokenizes one split into one shard.
class SplitTokenizer {
 public:
  SplitTokenizer(const TokenizeOptions& options, int threads, const TokenizeProgress& progress)
      : options_(options), threads_(threads), progress_(progress) {}

  Status Run(const DatasetVersionFiles& version, std::string_view split, const fs::path& file) {
    ATTUNE_ASSIGN_OR_RETURN(ShardWriter writer, ShardWriter::Create(file));
    for (const DatasetShard& shard : version.shards) {
      if (shard.split != split) continue;
      ATTUNE_RETURN_IF_ERROR(ReadShardLines(
          shard, kExamplesABatch,
          [&](const std::vector<std::string_view>& lines) { return Batch(lines, &writer); }));
    }
    written_ = writer.examples();
    return writer.Commit();
  }

  uint64_t written() const { return written_; }
  const PreparedCounts& counts() const { return counts_; }

 private:
  Status Batch(const std::vector<std::string_view>& lines, ShardWriter* writer) {
    std::vector<TokenizedExample> examples(lines.size());
    ATTUNE_RETURN_IF_ERROR(ParallelFor(lines.size(), threads_, [&](size_t i) {
      auto example = TokenizeExample(lines[i], options_);
      if (!example.ok()) return example.status();
      examples[i] = std::move(*example);
      return Status();
    }));
    for (const TokenizedExample& example : examples) {
      counts_.truncated += example.truncated;
      counts_.without_target += !example.has_target;
      if (!example.has_target) continue;
      ATTUNE_RETURN_IF_ERROR(writer->Add(example.tokens, example.targets, example.id));
    }
    return progress_(lines.size());
  }

  const TokenizeOptions& options_;
  const int threads_;
  const TokenizeProgress& progress_;
  PreparedCounts counts_;
  uint64_t written_ = 0;
};

Result<CachedTokens> OpenFiles(const fs::path& folder) {
  CachedTokens cached;
  ATTUNE_ASSIGN_OR_RETURN(std::string content, ReadFile(folder / kCounts));
  Json counts = Json::parse(content, nullptr, /*allow_exceptions=*/false);
  auto number = [&](const char* key, int64_t* value) {
    auto found = counts.find(key);
    if (found == counts.end() || !found->is_number_integer()) return false;
    *value = found->get<int64_t>();
    return true;
  };
  if (!counts.is_object() || !number("truncated", &cached.counts.truncated) ||
      !number("without_target", &cached.counts.without_target)) {
    return DataLoss((folder / kCounts).string() + " is damaged");
  }
  ATTUNE_ASSIGN_OR_RETURN(cached.train, TokenShard::Open(folder / kTrain));
  ATTUNE_ASSIGN_OR_RETURN(cached.validation, TokenShard::Open(folder / kValidation));
  return cached;
}

Status NothingToLearn(const DatasetVersionFiles& version, const PreparedCounts& counts,
                      const TokenizeOptions& options) {
  uint64_t examples = version.Examples("train");
  if (examples == 0) return InvalidArgument("the dataset has no example in its training split");
  std::string message =
      "none of the " + std::to_string(examples) + " training examples has a token to learn: ";
  if (counts.truncated > 0) {
    return InvalidArgument(message + std::to_string(counts.truncated) +
                           " were cut at sequence_length " +
                           std::to_string(options.sequence_length) +
                           " before their first target; raise train.sequence_length")
        .WithField("train.sequence_length");
  }
  return InvalidArgument(message + "no assistant message and no completion has any text");
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
  SplitTokenizer train(options, threads, progress), validation(options, threads, progress);
  ATTUNE_RETURN_IF_ERROR(train.Run(version, "train", temporary.path() / kTrain));
  if (train.written() == 0) return NothingToLearn(version, train.counts(), options);
  ATTUNE_RETURN_IF_ERROR(validation.Run(version, "validation", temporary.path() / kValidation));
  Json counts = {{"format", kFormatVersion},
                 {"dataset", version.checksum},
                 {"truncated", train.counts().truncated},
                 {"without_target", train.counts().without_target}};
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(temporary.path() / kCounts, counts.dump(2) + "\n"));
  return temporary.Commit(folder);
}

}  // namespace attune::engine
