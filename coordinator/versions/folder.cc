#include "coordinator/versions/folder.h"

#include <algorithm>
#include <system_error>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/log/log.h"
#include "coordinator/store/requests.h"

namespace attune::versions {
namespace fs = std::filesystem;
namespace {

constexpr const char* kTemporaryPrefix = ".import";
constexpr const char* kRemovedPrefix = ".removed";
constexpr int kCreateAttempts = 3;

Status FromErrorCode(const std::error_code& error, const std::string& what) {
  return ErrnoStatus(error.value(), what);
}

void RemoveFolder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) spdlog::warn("cannot remove {}: {}", folder.string(), error.message());
}

bool IsNumber(const std::string& name) {
  return !name.empty() && name.size() <= 9 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Gives the folder its final name, all of it on disk.
Status Place(const fs::path& from, const fs::path& to) {
  ATTUNE_RETURN_IF_ERROR(SyncFolder(from));
  std::error_code error;
  fs::rename(from, to, error);
  if (error) return FromErrorCode(error, "rename " + from.string() + " to " + to.string());
  return SyncFolder(to.parent_path());
}

// After a write that failed: takes the folder away unless the row turns out to be there.
void Withdraw(Database* database, const Table& table, const std::string& name,
              const fs::path& folder) {
  bool committed = true;
  Status status = database->Read([&](Transaction& transaction) {
    uint32_t version = static_cast<uint32_t>(std::stoul(folder.filename().string()));
    committed = table.All(transaction).contains({name, version});
    return Status();
  });
  if (status.ok() && !committed) RemoveFolder(folder);
}

// Of a folder that has its last name already.
Status FinishRemoval(const fs::path& folder, const BeforeRemoval& before) {
  if (before) {
    Status status = before(folder);
    if (!status.ok()) return status.WithContext(folder.string() + " stays until the next start");
  }
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) return FromErrorCode(error, "remove " + folder.string());
  fs::remove(folder.parent_path(), error);  // only when it is empty
  return Status();
}

void ReconcileFolder(const fs::path& folder, bool has_row, const BeforeRemoval& before) {
  std::error_code error;
  bool marked = fs::exists(folder / kUncommittedMark, error);
  if (has_row) {
    if (marked) fs::remove(folder / kUncommittedMark, error);
    return;
  }
  if (marked) {
    spdlog::info("removing {}, left by an interrupted import or removal", folder.string());
    Status status = RemoveVersion(folder, before);
    if (!status.ok()) spdlog::warn("{}", status.message());
  } else {
    spdlog::warn("{} is not known to the registry; it is left alone and its number is skipped",
                 folder.string());
  }
}

Status ReconcileName(const fs::path& parent, const std::set<std::pair<std::string, uint32_t>>& rows,
                     const BeforeRemoval& before) {
  std::error_code error;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    folders.push_back(it->path());
  }
  if (error) return FromErrorCode(error, "list " + parent.string());
  for (const fs::path& folder : folders) {
    std::string file = folder.filename().string();
    if (file.starts_with(kTemporaryPrefix)) {
      spdlog::info("removing {}, left by an interrupted import", folder.string());
      RemoveFolder(folder);
    } else if (file.starts_with(kRemovedPrefix)) {
      spdlog::info("removing {}, left by an interrupted removal", folder.string());
      Status status = FinishRemoval(folder, before);
      if (!status.ok()) spdlog::warn("{}", status.message());
    } else if (IsNumber(file)) {
      uint32_t version = static_cast<uint32_t>(std::stoul(file));
      ReconcileFolder(folder, rows.contains({parent.filename().string(), version}), before);
    }
  }
  fs::remove(parent, error);  // only when it is empty
  return Status();
}

}  // namespace

Result<std::unique_ptr<TemporaryFolder>> TemporaryFolder::Create(const fs::path& root,
                                                                 const std::string& name) {
  fs::path parent = root / name;
  fs::path path = parent / NewId(kTemporaryPrefix);
  std::error_code error;
  // Another import of this name that gives up may remove the empty parent in between.
  for (int attempt = 0; attempt < kCreateAttempts; ++attempt) {
    fs::create_directories(path, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error) return FromErrorCode(error, "create folder " + path.string());
  std::unique_ptr<TemporaryFolder> folder(new TemporaryFolder(parent, path));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(path / kUncommittedMark, ""));
  return folder;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  if (fs::exists(path_, error)) RemoveFolder(path_);
  fs::remove(parent_, error);  // only when it is empty
}

Result<std::optional<std::string>> FindCommitted(Database* database, const CommitRequest& request) {
  std::optional<std::string> record;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        record, FindRequest(transaction, request.request_id, request.method, request.content));
    return Status();
  }));
  return record;
}

// Under the lock of a write transaction: no row has a number that NextVersion has not given out, so
// a folder that is there already is a leftover or was put there by hand.
Result<uint32_t> FreeVersion(Transaction& transaction, const Table& table, const std::string& name,
                             const fs::path& parent) {
  for (;;) {
    uint32_t version = table.NextVersion(transaction, name);
    fs::path folder = parent / std::to_string(version);
    std::error_code error;
    if (fs::exists(folder / kUncommittedMark, error)) RemoveFolder(folder);
    if (!fs::exists(folder, error)) return version;
  }
}

Result<std::string> Commit(Database* database, const Table& table, const TemporaryFolder& folder,
                           const std::string& name, const CommitRequest& request,
                           const MakeRecord& make_record) {
  std::string record;
  fs::path placed;
  Status status = database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<std::string> earlier,
        FindRequest(transaction, request.request_id, request.method, request.content));
    if (earlier) {
      record = *earlier;
      return Status();
    }
    if (request.precondition) ATTUNE_RETURN_IF_ERROR(request.precondition(transaction));
    ATTUNE_ASSIGN_OR_RETURN(uint32_t version,
                            FreeVersion(transaction, table, name, folder.parent()));
    fs::path target = folder.parent() / std::to_string(version);
    ATTUNE_ASSIGN_OR_RETURN(record, make_record(version, target, transaction.now()));
    table.Insert(transaction, name, version, "", record);
    SaveRequest(transaction, request.request_id, request.method, request.content, record);
    transaction.AppendEvent(table.kind(), FormatReference(name, version), "imported", request.event,
                            record);
    ATTUNE_RETURN_IF_ERROR(Place(folder.path(), target));
    placed = target;
    return Status();
  });
  if (!status.ok()) {
    if (!placed.empty()) Withdraw(database, table, name, placed);
    return status;
  }
  if (!placed.empty()) Unmark(placed);
  return record;
}

Status MarkRemoved(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return Status();  // it was lost, and may be forgotten
  return WriteFileAtomically(folder / kUncommittedMark, "");
}

void Unmark(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / kUncommittedMark, error);
}

Status RemoveVersion(const fs::path& folder, const BeforeRemoval& before) {
  const fs::path removed = folder.parent_path() / NewId(kRemovedPrefix);
  std::error_code error;
  fs::rename(folder, removed, error);
  if (error) return FromErrorCode(error, "rename " + folder.string());
  ATTUNE_RETURN_IF_ERROR(SyncFolder(folder.parent_path()));
  return FinishRemoval(removed, before);
}

Status Reconcile(Database* database, const Table& table, const fs::path& root,
                 const BeforeRemoval& before) {
  std::set<std::pair<std::string, uint32_t>> rows;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
    rows = table.All(transaction);
    return Status();
  }));
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return FromErrorCode(error, "create folder " + root.string());
  std::vector<fs::path> names;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error) && IsValidName(it->path().filename().string())) {
      names.push_back(it->path());
    }
  }
  if (error) return FromErrorCode(error, "list " + root.string());
  for (const fs::path& name : names) ATTUNE_RETURN_IF_ERROR(ReconcileName(name, rows, before));
  return Status();
}

}  // namespace attune::versions
