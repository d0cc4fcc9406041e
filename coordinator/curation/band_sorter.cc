#include "coordinator/curation/band_sorter.h"

#include <algorithm>
#include <queue>

namespace attune::curation {
namespace {

constexpr size_t kReadEntriesMin = 4096;

}  // namespace

// Collects the rows of one key after the other.
class BandSorter::Grouper {
 public:
  Grouper(const TakeRows& take, CancelCheck* cancelled) : take_(take), cancelled_(*cancelled) {}

  Status Add(const Entry& entry) {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    if (!rows_.empty() && entry.key != key_) ATTUNE_RETURN_IF_ERROR(End());
    key_ = entry.key;
    rows_.push_back(entry.row);
    return Status();
  }
  Status End() {
    Status taken = rows_.size() > 1 ? take_(rows_) : Status();
    rows_.clear();
    return taken;
  }

 private:
  const TakeRows& take_;
  CancelCheck& cancelled_;
  uint64_t key_ = 0;
  std::vector<uint32_t> rows_;
};

// A run's entries, one after the other.
class BandSorter::RunReader {
 public:
  RunReader(ScratchFile* file, const Run& run, size_t buffer_entries)
      : file_(file), next_(run.first), end_(run.first + run.count), buffer_(buffer_entries) {}

  // False at the end.
  Result<bool> Next(Entry* entry) {
    if (at_ == filled_) {
      filled_ = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), end_ - next_));
      if (filled_ == 0) return false;
      ATTUNE_RETURN_IF_ERROR(
          file_->Read(next_ * sizeof(Entry), buffer_.data(), filled_ * sizeof(Entry)));
      next_ += filled_;
      at_ = 0;
    }
    *entry = buffer_[at_++];
    return true;
  }

 private:
  ScratchFile* const file_;
  uint64_t next_;
  const uint64_t end_;
  std::vector<Entry> buffer_;
  size_t at_ = 0, filled_ = 0;
};

BandSorter::BandSorter(std::filesystem::path folder, uint64_t buffer_bytes, CancelCheck cancelled)
    : folder_(std::move(folder)),
      capacity_(std::max<size_t>(kReadEntriesMin, buffer_bytes / sizeof(Entry))),
      cancelled_(std::move(cancelled)) {}

Status BandSorter::Add(uint64_t key, uint32_t row) {
  ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
  if (buffer_.size() == capacity_) ATTUNE_RETURN_IF_ERROR(Spill());
  // Address space; memory only as it is filled.
  if (buffer_.capacity() < capacity_) buffer_.reserve(capacity_);
  buffer_.push_back({key, row});
  return Status();
}

void BandSorter::SortBuffer() {
  std::ranges::sort(
      buffer_, [](Entry a, Entry b) { return a.key != b.key ? a.key < b.key : a.row < b.row; });
}

Status BandSorter::Spill() {
  if (!file_) {
    ATTUNE_ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(folder_));
    file_.emplace(std::move(file));
  }
  SortBuffer();
  runs_.push_back({file_->size() / sizeof(Entry), buffer_.size()});
  ATTUNE_RETURN_IF_ERROR(file_->Append(buffer_.data(), buffer_.size() * sizeof(Entry)));
  buffer_.clear();
  return Status();
}

Status BandSorter::ForEachGroup(const TakeRows& take) {
  Grouper grouper(take, &cancelled_);
  if (runs_.empty()) {
    SortBuffer();
    for (const Entry& entry : buffer_) ATTUNE_RETURN_IF_ERROR(grouper.Add(entry));
  } else {
    ATTUNE_RETURN_IF_ERROR(Spill());
    std::vector<Entry>().swap(buffer_);
    ATTUNE_RETURN_IF_ERROR(Merge(&grouper));
  }
  return grouper.End();
}

Status BandSorter::Merge(Grouper* grouper) {
  const size_t entries = std::max(kReadEntriesMin, capacity_ / runs_.size());
  struct Head {
    Entry entry;
    size_t run;
  };
  const auto later = [](const Head& a, const Head& b) {
    const uint64_t ka = a.entry.key, kb = b.entry.key;
    return ka != kb ? ka > kb : a.entry.row > b.entry.row;
  };
  std::priority_queue<Head, std::vector<Head>, decltype(later)> heads(later);
  std::vector<RunReader> readers;
  readers.reserve(runs_.size());
  for (const Run& run : runs_) {
    readers.emplace_back(&*file_, run, entries);
    Head head{{}, readers.size() - 1};
    ATTUNE_ASSIGN_OR_RETURN(const bool more, readers.back().Next(&head.entry));
    if (more) heads.push(head);
  }
  while (!heads.empty()) {
    Head head = heads.top();
    heads.pop();
    ATTUNE_RETURN_IF_ERROR(grouper->Add(head.entry));
    ATTUNE_ASSIGN_OR_RETURN(const bool more, readers[head.run].Next(&head.entry));
    if (more) heads.push(head);
  }
  return Status();
}

}  // namespace attune::curation
