#include "coordinator/datasets/shard_writer.h"

#include <system_error>

#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameDigits = 16;

// True when it was linked; false when the file system takes no (further) link to it.
Result<bool> Link(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (!error) return true;
  for (std::errc none : {std::errc::cross_device_link, std::errc::operation_not_permitted,
                         std::errc::operation_not_supported, std::errc::function_not_supported,
                         std::errc::too_many_links}) {
    if (error == none) return false;
  }
  return ErrnoStatus(error.value(), "link " + from.string());
}

Status Copy(const v1::DatasetVersion& version, const Shard& shard, const fs::path& to) {
  ATTUNE_ASSIGN_OR_RETURN(UnnamedFile file, UnnamedFile::Create(to.parent_path()));
  ATTUNE_RETURN_IF_ERROR(ReadShard(version, shard, [&](std::string_view line) -> Status {
    ATTUNE_RETURN_IF_ERROR(file.Append(line));
    return file.Append("\n");
  }));
  return file.Place(to.filename().string(), UnnamedFile::Sync::kFile);
}

}  // namespace

Status ShardWriter::Append(const LineFacts& facts, std::string_view line) {
  if (!file_) ATTUNE_RETURN_IF_ERROR(Open());
  ATTUNE_RETURN_IF_ERROR(file_->Append(line));
  hash_->Update(line);
  ++current_.examples;
  ++examples_;
  current_.bytes += line.size();
  ++index_.kinds[static_cast<size_t>(facts.kind)];
  for (size_t key = 0; key < keys_->keys().size(); ++key) {
    lines_by_key_[key] += facts.metadata_keys >> key & 1;
  }
  index_.lines.push_back({facts.id, facts.hash, facts.characters});
  return current_.bytes >= shard_bytes_ ? Close() : Status();
}

Status ShardWriter::Share(const v1::DatasetVersion& version, const Shard& shard,
                          const ShardIndex& index) {
  Shard shared = shard;
  shared.file = FileOf(shard.sha256);
  const fs::path from(version.path());
  ATTUNE_ASSIGN_OR_RETURN(const fs::path file, NewFile(shared));
  ATTUNE_ASSIGN_OR_RETURN(const bool linked, Link(from / shard.file, file));
  if (!linked) {
    ATTUNE_RETURN_IF_ERROR(Copy(version, shard, file));
    stored_bytes_ += shard.bytes;
  }
  // The index may be missing there; it is small, and checks itself.
  Result<bool> index_linked = Link(from / IndexFileOf(shard), folder_ / IndexFileOf(shared));
  if (!index_linked.ok() || !*index_linked) {
    ATTUNE_RETURN_IF_ERROR(WriteNamed(folder_ / IndexFileOf(shared), FormatShardIndex(index),
                                      UnnamedFile::Sync::kNone));
  }
  examples_ += shard.examples;
  if (on_shard_) ATTUNE_RETURN_IF_ERROR(on_shard_(shared, index));
  shards_.push_back(std::move(shared));
  return Status();
}

Status ShardWriter::Finish() {
  return file_ ? Close() : Status();
}

std::string ShardWriter::FileOf(const std::string& sha256) const {
  return split_ + "-" + sha256.substr(0, kNameDigits) + ".jsonl";
}

// Never over another one: two shards of a version have no line in common, so that this takes two
// contents with equal first digits.
Result<fs::path> ShardWriter::NewFile(const Shard& shard) const {
  fs::path file = folder_ / shard.file;
  std::error_code error;
  if (!fs::exists(file, error)) return file;
  return Internal(file.string() + " is there already, with another content");
}

Status ShardWriter::Open() {
  current_ = Shard{"", split_, 0, 0, ""};
  index_ = ShardIndex();
  lines_by_key_.assign(kMetadataKeysReported, 0);
  ATTUNE_ASSIGN_OR_RETURN(UnnamedFile file, UnnamedFile::Create(folder_));
  file_.emplace(std::move(file));
  hash_.emplace();
  return Status();
}

Status ShardWriter::Close() {
  current_.sha256 = hash_->Hex();
  current_.file = FileOf(current_.sha256);
  ATTUNE_RETURN_IF_ERROR(NewFile(current_).status());
  ATTUNE_RETURN_IF_ERROR(file_->Place(current_.file, UnnamedFile::Sync::kFile));
  index_.sha256 = current_.sha256;
  for (size_t key = 0; key < keys_->keys().size(); ++key) {
    if (lines_by_key_[key] > 0) index_.metadata_keys[keys_->keys()[key]] = lines_by_key_[key];
  }
  ATTUNE_RETURN_IF_ERROR(WriteNamed(folder_ / IndexFileOf(current_), FormatShardIndex(index_),
                                    UnnamedFile::Sync::kNone));
  stored_bytes_ += current_.bytes;
  if (on_shard_) ATTUNE_RETURN_IF_ERROR(on_shard_(current_, index_));
  shards_.push_back(current_);
  file_.reset();
  hash_.reset();
  return Status();
}

}  // namespace attune::datasets
