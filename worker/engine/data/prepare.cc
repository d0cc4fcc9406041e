#include "worker/engine/data/prepare.h"

#include <thread>

#include "common/base/hash.h"
#include "worker/engine/data/mix.h"
#include "worker/engine/data/token_cache.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

// Added tokens that were never given a row of the embedding are common; a tokenizer that is larger
// by more than these is another model's.
constexpr int64_t kAddedTokensMax = 256;

struct Part {
  const DatasetFiles* dataset;
  DatasetVersionFiles version;
  std::string key;
  fs::path folder;
};

struct Work {
  TokenizeOptions options;
  std::vector<Part> parts;
};

Result<TokenizeOptions> MakeOptions(const PrepareTask& task) {
  if (task.train.sequence_length < 2) {
    return InvalidArgument("sequence_length must be at least 2").WithField("train.sequence_length");
  }
  if (task.train.loss_on != "targets" && task.train.loss_on != "all") {
    return InvalidArgument("loss_on must be \"targets\" or \"all\", not \"" + task.train.loss_on +
                           "\"")
        .WithField("train.loss_on");
  }
  TokenizeOptions options;
  ATTUNE_ASSIGN_OR_RETURN(options.assets, LoadModelText(task.base));
  ATTUNE_ASSIGN_OR_RETURN(options.vocabulary_size, ModelVocabularySize(task.base));
  options.loss_on_all = task.train.loss_on == "all";
  options.sequence_length = static_cast<size_t>(task.train.sequence_length);
  int64_t tokens = options.assets.tokenizer->vocabulary_size();
  if (tokens > options.vocabulary_size + kAddedTokensMax) {
    return InvalidArgument("model " + task.base.reference + ": the tokenizer has " +
                           std::to_string(tokens) + " tokens, the model's vocabulary " +
                           std::to_string(options.vocabulary_size) +
                           ": the tokenizer does not belong to the model");
  }
  return options;
}

Result<Work> MakeWork(const PrepareTask& task) {
  if (task.datasets.empty()) return InvalidArgument("there is no dataset").WithField("dataset");
  Work work;
  ATTUNE_ASSIGN_OR_RETURN(work.options, MakeOptions(task));
  for (const DatasetFiles& dataset : task.datasets) {
    Part part;
    part.dataset = &dataset;
    auto version = ReadManifest(dataset);
    if (!version.ok()) return version.status().WithContext("dataset " + dataset.reference);
    part.version = std::move(*version);
    part.key = TokenCacheKey(part.version.checksum, work.options);
    part.folder = task.token_cache / part.key;
    work.parts.push_back(std::move(part));
  }
  return work;
}

// Each part's training examples once.
MixPart Whole(const std::shared_ptr<const TokenShard>& shard) {
  return {shard, static_cast<int64_t>(shard->size())};
}

std::vector<MixPart> OldParts(const Work& work, const std::vector<CachedTokens>& cached) {
  std::vector<MixPart> all, shared;
  for (size_t i = 0; i < cached.size(); ++i) {
    all.push_back(Whole(cached[i].train));
    if (work.parts[i].dataset->share > 0) shared.push_back(all.back());
  }
  return shared.empty() ? all : shared;
}

// Says in `data` how much of each dataset there is, and in which key.
Result<std::vector<int64_t>> CountParts(const Work& work, const std::vector<CachedTokens>& cached,
                                        uint64_t seed, PreparedData* data) {
  std::vector<MixAmount> amounts;
  for (size_t i = 0; i < cached.size(); ++i) {
    const DatasetFiles& dataset = *work.parts[i].dataset;
    const auto size = static_cast<int64_t>(cached[i].train->size());
    amounts.push_back({size, dataset.weight, dataset.share});
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> counts, MixCounts(amounts));
  Sha256 key;
  for (size_t i = 0; i < counts.size(); ++i) {
    const DatasetFiles& dataset = *work.parts[i].dataset;
    const PreparedCounts& prepared = cached[i].counts;
    data->counts.datasets.push_back({dataset.reference, dataset.weight, dataset.share,
                                     prepared.train, prepared.validation, counts[i],
                                     prepared.unusable});
    data->drawn = data->drawn || (amounts[i].size > 0 && counts[i] % amounts[i].size != 0);
    key.Update(work.parts[i].key + " " + std::to_string(counts[i]) + "\n");
  }
  if (data->drawn) key.Update("seed " + std::to_string(seed) + "\n");
  data->key = key.Hex();
  return counts;
}

Result<PreparedData> Combine(const Work& work, const std::vector<CachedTokens>& cached,
                             uint64_t seed) {
  PreparedData data;
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<int64_t> counts, CountParts(work, cached, seed, &data));
  std::vector<MixPart> train, validation;
  for (size_t i = 0; i < cached.size(); ++i) {
    train.push_back({cached[i].train, counts[i]});
    validation.push_back(Whole(cached[i].validation));
  }
  ATTUNE_ASSIGN_OR_RETURN(data.train, Mix(train, seed));
  ATTUNE_ASSIGN_OR_RETURN(data.validation, Mix(validation, seed));
  ATTUNE_ASSIGN_OR_RETURN(data.old, Mix(OldParts(work, cached), seed));
  data.counts.examples = static_cast<int64_t>(data.train->size());
  for (uint32_t length : data.train->lengths()) data.counts.tokens += length;
  for (uint32_t count : data.train->target_counts()) data.counts.target_tokens += count;
  data.counts.validation_examples = static_cast<int64_t>(data.validation->size());
  return data;
}

// Reports to the observer and turns its wish to stop into an error.
class Reporter {
 public:
  Reporter(Observer* observer, uint64_t total) : observer_(observer), total_(total) {}
  Status operator()(uint64_t more) {
    done_ += more;
    Progress progress;
    progress.phase = "tokenizing";
    progress.done = static_cast<double>(done_);
    progress.total = static_cast<double>(total_);
    observer_->OnProgress(progress);
    if (observer_->ShouldStop() != StopRequest::kNone) return Cancelled("stopped while tokenizing");
    return Status();
  }

 private:
  Observer* const observer_;
  const uint64_t total_;
  uint64_t done_ = 0;
};

// What is damaged is made anew, out of the way first.
Status MakeMissing(const PrepareTask& task, const Work& work,
                   const std::vector<const Part*>& missing, Observer& observer) {
  uint64_t total = 0;
  for (const Part* part : missing) {
    total += part->version.Examples("train") + part->version.Examples("validation");
  }
  Reporter reporter(&observer, total);
  ATTUNE_RETURN_IF_ERROR(reporter(0));
  int threads = task.train.threads;
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (const Part* part : missing) {
    std::error_code error;
    fs::create_directories(task.token_cache, error);
    if (error) return ErrnoStatus(error.value(), "create " + task.token_cache.string());
    Status status = MakeCachedTokens(part->folder, part->version, work.options, threads,
                                     [&](uint64_t more) { return reporter(more); });
    if (!status.ok()) return status.WithContext("dataset " + part->dataset->reference);
  }
  return Status();
}

Status RemoveDamaged(const fs::path& folder) {
  std::error_code error;
  fs::path aside = folder.string() + ".tmp-" + NewToken().substr(0, 12);
  fs::rename(folder, aside, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), "rename " + folder.string());
  }
  fs::remove_all(aside, error);
  return Status();
}

}  // namespace

Result<PrepareResult> Prepare(const PrepareTask& task, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(Work work, MakeWork(task));
  std::vector<CachedTokens> cached(work.parts.size());
  std::vector<const Part*> missing;
  for (size_t i = 0; i < work.parts.size(); ++i) {
    auto opened = OpenCachedTokens(work.parts[i].folder);
    if (opened.ok()) {
      cached[i] = std::move(*opened);
      continue;
    }
    StatusCode code = opened.status().code();
    if (code == StatusCode::kDataLoss) ATTUNE_RETURN_IF_ERROR(RemoveDamaged(work.parts[i].folder));
    if (code != StatusCode::kDataLoss && code != StatusCode::kNotFound) return opened.status();
    missing.push_back(&work.parts[i]);
  }
  if (!missing.empty()) ATTUNE_RETURN_IF_ERROR(MakeMissing(task, work, missing, observer));
  for (const Part* part : missing) {
    ATTUNE_ASSIGN_OR_RETURN(cached[static_cast<size_t>(part - work.parts.data())],
                            OpenCachedTokens(part->folder));
  }
  ATTUNE_ASSIGN_OR_RETURN(PreparedData data, Combine(work, cached, task.train.seed));
  for (const std::string& warning : DataWarnings(data.counts, task.train)) {
    observer.OnWarning(warning);
  }
  data.counts.cached = missing.empty();
  return data.counts;
}

std::vector<std::string> DataWarnings(const PrepareResult& counts, const TrainOptions& train) {
  std::vector<std::string> warnings;
  for (const DatasetCounts& dataset : counts.datasets) {
    for (std::string& warning : DataWarnings(dataset, train.sequence_length)) {
      warnings.push_back(std::move(warning));
    }
  }
  return warnings;
}

Result<PreparedData> OpenPrepared(const PrepareTask& task) {
  ATTUNE_ASSIGN_OR_RETURN(Work work, MakeWork(task));
  std::vector<CachedTokens> cached;
  for (const Part& part : work.parts) {
    auto opened = OpenCachedTokens(part.folder);
    if (!opened.ok() && opened.status().code() == StatusCode::kNotFound) {
      return FailedPrecondition("dataset " + part.dataset->reference +
                                " is not prepared for this model: run the PREPARE task first");
    }
    if (!opened.ok()) return opened.status().WithContext("dataset " + part.dataset->reference);
    cached.push_back(std::move(*opened));
  }
  auto data = Combine(work, cached, task.train.seed);
  if (data.ok()) data->counts.cached = true;
  return data;
}

}  // namespace attune::engine
