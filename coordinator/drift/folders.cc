#include "coordinator/drift/folders.h"

#include <algorithm>

#include "common/base/hash.h"

namespace attune::drift {
namespace {

struct Hashes {
  std::string whole, prefix;
};

Result<Hashes> HashOf(objects::ObjectSource& files, const std::string& name,
                      uint64_t prefix_bytes) {
  Sha256 whole, prefix;
  uint64_t left = prefix_bytes;
  ATTUNE_RETURN_IF_ERROR(files.Read(name, [&](std::string_view bytes) {
    whole.Update(bytes);
    std::string_view part = bytes.substr(0, std::min<uint64_t>(left, bytes.size()));
    prefix.Update(part);
    left -= part.size();
    return Status();
  }));
  return Hashes{whole.Hex(), prefix.Hex()};
}

// Calls take with the bytes from an offset on. Returns the hash of all.
Result<std::string> ReadFrom(objects::ObjectSource& files, const std::string& name, uint64_t offset,
                             const std::function<Status(std::string_view)>& take) {
  Sha256 whole;
  ATTUNE_RETURN_IF_ERROR(files.Read(name, [&](std::string_view bytes) -> Status {
    whole.Update(bytes);
    const uint64_t skipped = std::min<uint64_t>(offset, bytes.size());
    offset -= skipped;
    bytes.remove_prefix(skipped);
    return bytes.empty() ? Status() : take(bytes);
  }));
  return whole.Hex();
}

// Where a file is, whatever options lead there.
std::string PathOf(const std::string& address, const std::string& name) {
  std::string path = address.substr(0, address.find('?'));
  while (path.ends_with('/')) path.pop_back();
  return path + "/" + name;
}

}  // namespace

Status FolderReader::Read(const StreamRecord& stream, TimePoint now) {
  Status first;
  for (const std::string& address : stream.stream.spec().folders()) {
    Status status = ReadFolder(stream, address, now);
    if (first.ok()) first = status;
  }
  return first;
}

void FolderReader::KeepOnly(const std::set<std::string>& streams) {
  const auto gone = [&](const auto& entry) { return !streams.contains(entry.first.first); };
  std::erase_if(seen_, gone);
  std::erase_if(sources_, gone);
}

Status FolderReader::ReadFolder(const StreamRecord& stream, const std::string& address,
                                TimePoint now) {
  const std::string& name = stream.stream.spec().name();
  Source& source = sources_[{name, address}];
  if (now < source.not_before) return Status();
  if (address.starts_with("s3://")) source.not_before = now + kListBucketEvery;
  if (!source.files) {
    ATTUNE_ASSIGN_OR_RETURN(source.files, objects::OpenSource(address));
  }
  Result<std::vector<objects::Object>> listed = source.files->List(".jsonl");
  if (!listed.ok()) return listed.status().WithContext("watched folder");
  std::set<std::string> paths;
  Status first;
  for (const objects::Object& object : *listed) {
    const std::string path = PathOf(address, object.name);
    paths.insert(path);
    Status status = Look(stream, *source.files, object, path, now);
    if (first.ok()) first = status;
  }
  const std::string below = PathOf(address, "");
  std::erase_if(seen_, [&](const auto& entry) {
    const auto& [of, path] = entry.first;
    return of == name && path.starts_with(below) && !paths.contains(path);
  });
  return first;
}

Status FolderReader::Look(const StreamRecord& stream, objects::ObjectSource& files,
                          const objects::Object& object, const std::string& path, TimePoint now) {
  if (object.bytes == 0) return Status();
  const std::string& name = stream.stream.spec().name();
  const int64_t modified_us = ToMicros(object.modified);
  auto [entry, added] = seen_.try_emplace({name, path});
  Seen& seen = entry->second;
  if (added || seen.bytes != object.bytes || seen.modified != object.modified) {
    seen = {object.bytes, object.modified, now + kSettle, false};
    // After a restart most files are known already.
    std::optional<FileRecord> known;
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
      known = FindFile(transaction, name, path);
      return Status();
    }));
    seen.done = known && known->bytes == object.bytes && known->modified_us == modified_us;
  }
  if (seen.done || now < seen.not_before) return Status();
  Status status = ReadFile(stream, files, object.name, {path, object.bytes, modified_us, ""});
  seen.done = status.ok();
  if (!status.ok()) seen.not_before = now + kTryFileAgain;
  return status;
}

Status FolderReader::ReadFile(const StreamRecord& stream, objects::ObjectSource& files,
                              const std::string& name, const FileRecord& file) {
  const std::string& stream_name = stream.stream.spec().name();
  std::optional<FileRecord> known;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    known = FindFile(transaction, stream_name, file.path);
    return Status();
  }));
  FileRecord record = file;
  ATTUNE_ASSIGN_OR_RETURN(Hashes hashes, HashOf(files, name, known ? known->bytes : 0));
  record.sha256 = hashes.whole;
  bool has_content = false;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    has_content = HasContent(transaction, stream_name, record.sha256);
    return Status();
  }));
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, observations_->Start("", stream_name));
  if (!has_content) {
    const bool grew = known && known->bytes < file.bytes && known->sha256 == hashes.prefix;
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string read,
        ReadFrom(files, name, grew ? known->bytes : 0,
                 [&](std::string_view bytes) { return batch->Append(file.path, bytes); }));
    if (read != record.sha256) return Unavailable(file.path + " changed while it was read");
  }
  Result<v1::ObserveResponse> response = batch->Finish(&record);
  return response.ok() ? Status() : response.status();
}

}  // namespace attune::drift
