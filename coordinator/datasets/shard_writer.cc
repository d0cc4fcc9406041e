#include "coordinator/datasets/shard_writer.h"

#include <cstdio>

namespace attune::datasets {

Status ShardWriter::Append(std::string_view line) {
  if (!file_) ATTUNE_RETURN_IF_ERROR(Open());
  ATTUNE_RETURN_IF_ERROR(file_->Append(line));
  hash_->Update(line);
  ++current_.examples;
  ++examples_;
  current_.bytes += line.size();
  return current_.bytes >= shard_bytes_ ? Close() : Status();
}

Status ShardWriter::Finish() {
  return file_ ? Close() : Status();
}

Status ShardWriter::Open() {
  char number[16];
  std::snprintf(number, sizeof number, "-%05zu", shards_.size());
  current_ = Shard{split_ + number + ".jsonl", split_, 0, 0, ""};
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Create(folder_ / current_.file));
  file_.emplace(std::move(file));
  hash_.emplace();
  return Status();
}

Status ShardWriter::Close() {
  ATTUNE_RETURN_IF_ERROR(file_->Commit());
  current_.sha256 = hash_->Hex();
  shards_.push_back(current_);
  file_.reset();
  hash_.reset();
  return Status();
}

}  // namespace attune::datasets
