#include "coordinator/drift/folders.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <vector>

#include "common/base/hash.h"

namespace attune::drift {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPiece = 1 << 20;

struct Facts {
  uint64_t bytes = 0;
  int64_t modified_us = 0;
};

// Nothing for what is no regular file (any more).
std::optional<Facts> Stat(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return Facts{static_cast<uint64_t>(info.st_size),
               info.st_mtim.tv_sec * 1'000'000 + info.st_mtim.tv_nsec / 1000};
}

// Calls take with the file's bytes from an offset on.
Status ReadFrom(const std::string& path, uint64_t offset,
                const std::function<Status(std::string_view)>& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoStatus(errno, "open " + path);
  file.seekg(static_cast<std::streamoff>(offset));
  std::vector<char> buffer(kPiece);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    size_t got = static_cast<size_t>(file.gcount());
    if (got > 0) ATTUNE_RETURN_IF_ERROR(take(std::string_view(buffer.data(), got)));
  }
  return file.bad() ? DataLoss("cannot read " + path) : Status();
}

struct Hashes {
  std::string whole, prefix;
};

Result<Hashes> HashOf(const std::string& path, uint64_t prefix_bytes) {
  Sha256 whole, prefix;
  uint64_t left = prefix_bytes;
  ATTUNE_RETURN_IF_ERROR(ReadFrom(path, 0, [&](std::string_view bytes) {
    whole.Update(bytes);
    std::string_view part = bytes.substr(0, std::min<uint64_t>(left, bytes.size()));
    prefix.Update(part);
    left -= part.size();
    return Status();
  }));
  return Hashes{whole.Hex(), prefix.Hex()};
}

}  // namespace

Status FolderReader::Read(const StreamRecord& stream, TimePoint now) {
  Status first;
  for (const std::string& folder : stream.stream.spec().folders()) {
    Status status = ReadFolder(stream, folder, now);
    if (first.ok()) first = status;
  }
  return first;
}

void FolderReader::KeepOnly(const std::set<std::string>& streams) {
  std::erase_if(seen_, [&](const auto& entry) { return !streams.contains(entry.first.first); });
}

Status FolderReader::ReadFolder(const StreamRecord& stream, const std::string& folder,
                                TimePoint now) {
  std::error_code error;
  std::set<fs::path> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".jsonl") paths.insert(it->path());
    if (paths.size() > kFilesMax) {
      return ResourceExhausted("the watched folder " + folder + " has more than " +
                               std::to_string(kFilesMax) + " files: move those away that are old");
    }
  }
  if (error) return ErrnoStatus(error.value(), "read the watched folder " + folder);
  const std::string& name = stream.stream.spec().name();
  std::erase_if(seen_, [&](const auto& entry) {
    const fs::path path = entry.first.second;
    return entry.first.first == name && path.parent_path() == fs::path(folder) &&
           !paths.contains(path);
  });
  Status first;
  for (const fs::path& path : paths) {
    Status status = Look(stream, path, now);
    if (first.ok()) first = status;
  }
  return first;
}

Status FolderReader::Look(const StreamRecord& stream, const fs::path& path, TimePoint now) {
  std::optional<Facts> facts = Stat(path);
  if (!facts || facts->bytes == 0) return Status();
  auto [entry, added] = seen_.try_emplace({stream.stream.spec().name(), path.string()});
  Seen& seen = entry->second;
  if (added || seen.bytes != facts->bytes || seen.modified_us != facts->modified_us) {
    seen = {facts->bytes, facts->modified_us, now + kSettle, false};
    // After a restart most files are known already.
    std::optional<FileRecord> known;
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
      known = FindFile(transaction, stream.stream.spec().name(), path.string());
      return Status();
    }));
    seen.done = known && known->bytes == facts->bytes && known->modified_us == facts->modified_us;
  }
  if (seen.done || now < seen.not_before) return Status();
  Status status = ReadFile(stream, {path.string(), facts->bytes, facts->modified_us, ""});
  seen.done = status.ok();
  if (!status.ok()) seen.not_before = now + kTryFileAgain;
  return status;
}

Status FolderReader::ReadFile(const StreamRecord& stream, const FileRecord& file) {
  const std::string& name = stream.stream.spec().name();
  std::optional<FileRecord> known;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    known = FindFile(transaction, name, file.path);
    return Status();
  }));
  FileRecord record = file;
  ATTUNE_ASSIGN_OR_RETURN(Hashes hashes, HashOf(file.path, known ? known->bytes : 0));
  record.sha256 = hashes.whole;
  bool has_content = false;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    has_content = HasContent(transaction, name, record.sha256);
    return Status();
  }));
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, observations_->Start("", name));
  if (!has_content) {
    const bool grew = known && known->bytes < file.bytes && known->sha256 == hashes.prefix;
    ATTUNE_RETURN_IF_ERROR(
        ReadFrom(file.path, grew ? known->bytes : 0,
                 [&](std::string_view bytes) { return batch->Append(file.path, bytes); }));
  }
  std::optional<Facts> after = Stat(file.path);
  if (!after || after->bytes != file.bytes || after->modified_us != file.modified_us) {
    return Unavailable(file.path + " changed while it was read");
  }
  Result<v1::ObserveResponse> response = batch->Finish(&record);
  return response.ok() ? Status() : response.status();
}

}  // namespace attune::drift
