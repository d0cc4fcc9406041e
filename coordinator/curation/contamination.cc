#include "coordinator/curation/contamination.h"

#include <algorithm>

#include "coordinator/curation/words.h"

namespace attune::curation {
namespace {

constexpr size_t kPlacesAtFirst = 1024;

// Words of the whole text count as a run of this length, apart from those within one.
uint64_t WholeKey(const std::vector<uint64_t>& words) {
  RollingHash hash(words.size());
  for (uint64_t word : words) hash.Push(word);
  return Mix64(hash.Get(words.size()) + 1) | 1;
}

// Calls take with each run of so many words, in order, until it returns false.
template <typename Take>
void ForEachRun(const std::vector<uint64_t>& words, size_t length, const Take& take) {
  RollingHash hash(length);
  for (size_t i = 0; i < words.size(); ++i) {
    hash.Push(words[i]);
    if (i >= length) hash.Pop(words[i - length]);
    if (i + 1 >= length && !take(hash.Get(length) | 1)) return;
  }
}

std::vector<uint64_t> WordsOf(std::string_view text) {
  std::vector<uint64_t> words;
  AppendWordHashes(text, &words);
  return words;
}

}  // namespace

EvaluationRuns::Place EvaluationRuns::PlaceOf(uint64_t key) const {
  const size_t mask = keys_.size() - 1;
  for (size_t i = (key >> 1) & mask;; i = (i + 1) & mask) {
    if (keys_[i] == key) return {i, true};
    if (keys_[i] == 0) return {i, false};
  }
}

Status EvaluationRuns::Add(std::string_view text) {
  const std::vector<uint64_t> words = WordsOf(text);
  const uint32_t example = examples_++;
  if (words.empty()) return Status();
  if (words.size() < kRunWordsMin) return AddRun(WholeKey(words), example);
  const size_t length = std::min(words.size(), kRunWords);
  lengths_ |= 1u << length;
  Status added;
  ForEachRun(words, length, [&](uint64_t key) {
    added = AddRun(key, example);
    return added.ok();
  });
  return added;
}

Status EvaluationRuns::AddRun(uint64_t key, uint32_t example) {
  if ((runs_ + 1) * 3 > keys_.size() * 2) Grow();
  const Place place = PlaceOf(key);
  if (!place.taken) {
    if (runs_ == kRunsMax) {
      return ResourceExhausted("the evaluation sets have more than " + std::to_string(kRunsMax) +
                               " different runs of words: name fewer or smaller ones");
    }
    ++runs_;
    keys_[place.index] = key;
    first_[place.index] = last_[place.index] = example;
    counts_[place.index] = 1;
  } else if (last_[place.index] != example) {
    last_[place.index] = example;
    if (counts_[place.index] <= kTemplateExamples) ++counts_[place.index];
  }
  return Status();
}

void EvaluationRuns::Grow() {
  const size_t places = keys_.empty() ? kPlacesAtFirst : keys_.size() * 2;
  std::vector<uint64_t> keys(places, 0);
  std::vector<uint32_t> first(places), last(places);
  std::vector<uint8_t> counts(places);
  keys.swap(keys_);
  first.swap(first_);
  last.swap(last_);
  counts.swap(counts_);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == 0) continue;
    const size_t to = PlaceOf(keys[i]).index;
    keys_[to] = keys[i];
    first_[to] = first[i];
    last_[to] = last[i];
    counts_[to] = counts[i];
  }
}

std::optional<uint32_t> EvaluationRuns::FindRuns(const std::vector<uint64_t>& words,
                                                 size_t length) const {
  std::optional<uint32_t> found;
  ForEachRun(words, length, [&](uint64_t key) {
    const Place place = PlaceOf(key);
    if (place.taken && counts_[place.index] <= kTemplateExamples) found = first_[place.index];
    return !found;
  });
  return found;
}

std::optional<uint32_t> EvaluationRuns::Find(std::string_view text) const {
  if (runs_ == 0) return std::nullopt;
  const std::vector<uint64_t> words = WordsOf(text);
  for (size_t length = kRunWords; length >= kRunWordsMin; --length) {
    if ((lengths_ >> length & 1) == 0 || words.size() < length) continue;
    if (auto found = FindRuns(words, length)) return found;
  }
  if (words.empty() || words.size() >= kRunWordsMin) return std::nullopt;
  const Place place = PlaceOf(WholeKey(words));
  if (!place.taken || counts_[place.index] > kTemplateExamples) return std::nullopt;
  return first_[place.index];
}

}  // namespace attune::curation
