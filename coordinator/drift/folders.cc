#include "coordinator/drift/folders.h"

#include <algorithm>
#include <set>

#include "common/base/hash.h"
#include "common/base/text.h"
#include "coordinator/drift/problems.h"

namespace attune::drift {
namespace {

struct Hashes {
  std::string whole, prefix;
};

// The first bytes of a file, no more though it may grow meanwhile.
Status ReadUpTo(objects::ObjectSource& files, const std::string& name, uint64_t bound,
                const std::function<Status(std::string_view)>& take) {
  uint64_t left = bound;
  ATTUNE_RETURN_IF_ERROR(files.Read(name, [&](std::string_view bytes) -> Status {
    bytes = bytes.substr(0, std::min<uint64_t>(left, bytes.size()));
    left -= bytes.size();
    return bytes.empty() ? Status() : take(bytes);
  }));
  return left == 0 ? Status() : Unavailable(name + " became shorter while it was read");
}

// Where the last line that is finished ends.
Result<uint64_t> EndOfLines(objects::ObjectSource& files, const std::string& name, uint64_t bound) {
  uint64_t at = 0, end = 0;
  ATTUNE_RETURN_IF_ERROR(ReadUpTo(files, name, bound, [&](std::string_view bytes) {
    const size_t newline = bytes.rfind('\n');
    if (newline != std::string_view::npos) end = at + newline + 1;
    at += bytes.size();
    return Status();
  }));
  return end;
}

Result<Hashes> HashOf(objects::ObjectSource& files, const std::string& name, uint64_t bound,
                      uint64_t prefix_bytes) {
  Sha256 whole, prefix;
  uint64_t left = prefix_bytes;
  ATTUNE_RETURN_IF_ERROR(ReadUpTo(files, name, bound, [&](std::string_view bytes) {
    whole.Update(bytes);
    std::string_view part = bytes.substr(0, std::min<uint64_t>(left, bytes.size()));
    prefix.Update(part);
    left -= part.size();
    return Status();
  }));
  return Hashes{whole.Hex(), prefix.Hex()};
}

// Calls take with the bytes from an offset on. Returns the hash of all.
Result<std::string> ReadFrom(objects::ObjectSource& files, const std::string& name, uint64_t bound,
                             uint64_t offset, const std::function<Status(std::string_view)>& take) {
  Sha256 whole;
  ATTUNE_RETURN_IF_ERROR(ReadUpTo(files, name, bound, [&](std::string_view bytes) -> Status {
    whole.Update(bytes);
    const uint64_t skipped = std::min<uint64_t>(offset, bytes.size());
    offset -= skipped;
    bytes.remove_prefix(skipped);
    return bytes.empty() ? Status() : take(bytes);
  }));
  return whole.Hex();
}

// Twice as long after each failure.
std::chrono::seconds TryAgainAfter(int failures) {
  return std::min<std::chrono::seconds>(kTryFileAgain * (1 << std::min(failures - 1, 10)),
                                        kTryFileAgainMost);
}

// Where a file is, whatever options lead there.
std::string PathOf(const std::string& address, const std::string& name) {
  std::string path = address.substr(0, address.find('?'));
  while (path.ends_with('/')) path.pop_back();
  return path + "/" + name;
}

}  // namespace

Status FolderReader::Read(const StreamRecord& stream) {
  const auto& addresses = stream.stream.spec().folders();
  std::erase_if(folders_, [&](const auto& folder) {
    return std::find(addresses.begin(), addresses.end(), folder.first) == addresses.end();
  });
  Problems problems;
  for (const std::string& address : addresses) {
    Folder& folder = folders_[address];
    if (clock_->Monotonic() >= folder.not_before) {
      folder.problem = ReadFolder(stream, address, &folder);
    }
    problems.Add(folder.problem);
  }
  // Of files as they are, tried just now or not.
  for (const auto& [address, folder] : folders_) {
    for (const auto& [path, seen] : folder.files) problems.Add(seen.problem);
  }
  return problems.All();
}

Status FolderReader::ReadFolder(const StreamRecord& stream, const std::string& address,
                                Folder* folder) {
  if (!folder->source) folder->source = open_(address);
  Result<bool> all = LookAtFiles(stream, address, folder);
  folder->not_before = clock_->Monotonic();
  if (all.status().code() == StatusCode::kDeadlineExceeded) {
    folder->not_before += kListAgainAfterHang;
  } else if (address.starts_with("s3://") && (!all.ok() || *all)) {
    folder->not_before += kListBucketEvery;
  }
  return all.ok() ? Status() : all.status().WithContext("watched folder");
}

Result<bool> FolderReader::LookAtFiles(const StreamRecord& stream, const std::string& address,
                                       Folder* folder) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<objects::Object> listed,
                          folder->source->List(".jsonl"));
  const Time until = clock_->Monotonic() + kTurn;
  std::set<std::string> paths;
  bool all = true;
  for (const objects::Object& object : listed) {
    const std::string path = PathOf(address, object.name);
    paths.insert(path);
    all = all && clock_->Monotonic() < until;
    if (all && object.bytes > 0) {
      ATTUNE_RETURN_IF_ERROR(Look(stream, *folder->source, object, path, &folder->files[path]));
    }
  }
  std::erase_if(folder->files, [&](const auto& file) { return !paths.contains(file.first); });
  return all;
}

Status FolderReader::Look(const StreamRecord& stream, objects::ObjectSource& source,
                          const objects::Object& object, const std::string& path, Seen* file) {
  const std::string& name = stream.stream.spec().name();
  const int64_t modified_us = ToMicros(object.modified);
  const Time now = clock_->Monotonic();
  Seen& seen = *file;
  if (seen.bytes != object.bytes || seen.modified != object.modified) {
    seen = Seen();
    seen.bytes = object.bytes;
    seen.modified = object.modified;
    seen.since = now;
    seen.not_before = now + kSettle;
    // After a restart most files are known already.
    std::optional<FileRecord> known;
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
      known = FindFile(transaction, name, path);
      return Status();
    }));
    seen.done = known && known->bytes == object.bytes && known->modified_us == modified_us;
  }
  if (seen.done || now < seen.not_before) return Status();
  // An object of a bucket is there as a whole; a file may be in the middle of a line.
  const bool whole = path.starts_with("s3://") || now - seen.since >= kFinished;
  Result<uint64_t> taken =
      ReadFile(stream, source, object.name, {path, object.bytes, modified_us, ""}, whole);
  if (!taken.ok()) {
    seen.problem = taken.status().WithContext(path);
    seen.not_before = clock_->Monotonic() + TryAgainAfter(++seen.failures);
    if (taken.status().code() != StatusCode::kDeadlineExceeded) {
      return Status();  // said by Read, with the others
    }
    // Of the folder, which is left for a while; after that the files behind this one come first.
    seen.not_before += kListAgainAfterHang;
    return taken.status();
  }
  seen.problem = Status();
  seen.failures = 0;
  seen.done = *taken == object.bytes;
  if (!seen.done) seen.not_before = seen.since + kFinished;
  return Status();
}

Result<uint64_t> FolderReader::ReadFile(const StreamRecord& stream, objects::ObjectSource& source,
                                        const std::string& name, const FileRecord& file,
                                        bool whole) {
  const std::string& stream_name = stream.stream.spec().name();
  std::optional<FileRecord> known;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    known = FindFile(transaction, stream_name, file.path);
    return Status();
  }));
  FileRecord record = file;
  if (!whole) {
    ATTUNE_ASSIGN_OR_RETURN(record.bytes, EndOfLines(source, name, file.bytes));
  }
  if (record.bytes == 0) return uint64_t{0};
  ATTUNE_ASSIGN_OR_RETURN(Hashes hashes,
                          HashOf(source, name, record.bytes, known ? known->bytes : 0));
  record.sha256 = hashes.whole;
  const bool same = known && known->bytes == record.bytes && known->sha256 == record.sha256;
  if (same && record.bytes < file.bytes) return record.bytes;
  bool has_content = false;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    has_content = HasContent(transaction, stream_name, record.sha256);
    return Status();
  }));
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch,
                          observations_->Start("", stream_name, stream.incarnation));
  if (!has_content) {
    const bool grew = known && known->bytes < record.bytes && known->sha256 == hashes.prefix;
    ATTUNE_ASSIGN_OR_RETURN(
        const std::string read,
        ReadFrom(source, name, record.bytes, grew ? known->bytes : 0,
                 [&](std::string_view bytes) { return batch->Append(file.path, bytes); }));
    if (read != record.sha256) return Unavailable(file.path + " changed while it was read");
  }
  ATTUNE_RETURN_IF_ERROR(batch->Finish(&record).status());
  return record.bytes;
}

}  // namespace attune::drift
