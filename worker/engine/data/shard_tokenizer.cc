#include "worker/engine/data/shard_tokenizer.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/parallel_for.h"

namespace attune::engine {
namespace {

// What a thread takes at a time: enough to make the hand-over cheap, little enough to share the end
// of a shard.
constexpr size_t kPartBytes = 64 << 10;
// Parts that may wait for one before them, for each thread.
constexpr size_t kPartsAhead = 4;

using Examples = std::vector<TokenizedExample>;

// Takes parts in any order and writes them in the shard's order.
class OrderedOutput {
 public:
  OrderedOutput(size_t ahead, ShardWriter* writer, const ShardProgress& progress)
      : ahead_(ahead), writer_(writer), progress_(progress) {}

  // Waits while the part is too far ahead of the one that is written next.
  Status Put(size_t part, Examples examples) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    while (failure_.ok() && part >= next_ + ahead_) written_.Wait(&mutex_);
    ATTUNE_RETURN_IF_ERROR(failure_);
    waiting_.emplace(part, std::move(examples));
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
         first = waiting_.erase(first), ++next_) {
      failure_ = Write(first->second);
      if (!failure_.ok()) break;
    }
    written_.NotifyAll();
    return failure_;
  }

  // Ends the wait of all others.
  Status Fail(Status failure) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = std::move(failure);
    written_.NotifyAll();
    return failure_;
  }

  ShardCounts counts() const EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return counts_;
  }

 private:
  Status Write(const Examples& examples) REQUIRES(mutex_) {
    for (const TokenizedExample& example : examples) {
      Count(example);
      if (!example.has_target) continue;
      ATTUNE_RETURN_IF_ERROR(writer_->Add(example.tokens, example.targets, example.id));
    }
    return progress_(counts_);
  }

  void Count(const TokenizedExample& example) REQUIRES(mutex_) {
    SplitCounts& counts = counts_.counts;
    ++counts.examples;
    counts.truncated += example.truncated;
    if (example.unusable.empty()) {
      counts.without_target += !example.has_target;
      return;
    }
    ++counts.unusable;
    if (counts_.unusable.size() < kUnusableNamed) counts_.unusable.push_back(example.unusable);
  }

  const size_t ahead_;
  ShardWriter* const writer_;
  const ShardProgress& progress_;
  mutable Mutex mutex_;
  CondVar written_;
  std::map<size_t, Examples> waiting_ GUARDED_BY(mutex_);
  size_t next_ GUARDED_BY(mutex_) = 0;
  Status failure_ GUARDED_BY(mutex_);
  ShardCounts counts_ GUARDED_BY(mutex_);
};

Result<Examples> TokenizeLines(std::string_view text, const TokenizeOptions& options) {
  Examples examples;
  for (std::string_view line = NextLine(&text); !line.empty(); line = NextLine(&text)) {
    ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, TokenizeExample(line, options));
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace

Result<ShardCounts> TokenizeShard(const DatasetShard& shard, const TokenizeOptions& options,
                                  int threads, ShardWriter* writer, const ShardProgress& progress) {
  ATTUNE_ASSIGN_OR_RETURN(const ShardText text, ShardText::Open(shard));
  const std::vector<std::string_view> parts = text.Parts(kPartBytes);
  OrderedOutput output(kPartsAhead * static_cast<size_t>(std::max(threads, 1)), writer, progress);
  Status content;
  Status status = ParallelFor(parts.size() + 1, threads, [&](size_t i) -> Status {
    if (i == 0) return content = text.CheckContent();
    auto examples = TokenizeLines(parts[i - 1], options);
    if (!examples.ok()) return output.Fail(examples.status());
    return output.Put(i - 1, std::move(*examples));
  });
  ATTUNE_RETURN_IF_ERROR(content);  // first: then it explains all others
  ATTUNE_RETURN_IF_ERROR(status);
  ShardCounts counts = output.counts();
  ATTUNE_RETURN_IF_ERROR(text.CheckCount(static_cast<uint64_t>(counts.counts.examples)));
  return counts;
}

}  // namespace attune::engine
