#pragma once

// How a folder of bytes becomes a version: filled under a temporary name, then numbered, renamed
// and committed in one transaction. A file `.uncommitted` in the folder marks it until the commit
// is done, so that a start after a crash can tell a leftover (removed) from a folder that it must
// not touch. A version goes the same way back: marked, then its row, then its folder.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/table.h"

namespace attune::versions {

inline constexpr const char* kUncommittedMark = ".uncommitted";

// ROOT/NAME/.import-XXXX; removed with all its files unless it was committed.
class TemporaryFolder {
 public:
  static Result<std::unique_ptr<TemporaryFolder>> Create(const std::filesystem::path& root,
                                                         const std::string& name);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& parent() const { return parent_; }

 private:
  TemporaryFolder(std::filesystem::path parent, std::filesystem::path path)
      : parent_(std::move(parent)), path_(std::move(path)) {}
  const std::filesystem::path parent_, path_;
};

struct CommitRequest {
  std::string request_id;
  std::string method;   // for the store's table of requests
  std::string content;  // of the request, without its id
  std::string event;    // what the event log says
  // Asked in the transaction, before anything is done; an error is Commit's.
  std::function<Status(Transaction&)> precondition = nullptr;
};

// Makes the record of a version; may add files to the temporary folder.
using MakeRecord = std::function<Result<std::string>(
    uint32_t version, const std::filesystem::path& folder, TimePoint now)>;

// Returns the record. When another call with the same request id came first, that one's record is
// returned and this folder goes.
Result<std::string> Commit(Database* database, const Table& table, const TemporaryFolder& folder,
                           const std::string& name, const CommitRequest& request,
                           const MakeRecord& make_record);

// The record that an earlier call with this request id made, if any. Errors as FindRequest.
Result<std::optional<std::string>> FindCommitted(Database* database, const CommitRequest& request);

// A number for a new version of name whose folder does not exist; leftovers in its way are removed.
// Within a write transaction. Throws soci_error.
Result<uint32_t> FreeVersion(Transaction& transaction, const Table& table, const std::string& name,
                             const std::filesystem::path& parent);

// What is to be done with a version's folder before it is removed; may be done again after a crash,
// as long as the folder is there. An error keeps the folder until the next start.
using BeforeRemoval = std::function<Status(const std::filesystem::path& folder)>;

// In the transaction that removes the version's row: marks the folder, so that a start after a
// crash knows that it is to go. When the transaction fails, Unmark takes that back.
Status MarkRemoved(const std::filesystem::path& folder);
void Unmark(const std::filesystem::path& folder);
// After that transaction. The folder gets another name first: it is never there in part.
Status RemoveVersion(const std::filesystem::path& folder, const BeforeRemoval& before);

// Removes below root (STORAGE/datasets, STORAGE/models) what interrupted imports and removals left:
// folders .import-* and .removed-*, and marked folders without a row. Folders without a row and
// without the mark are only reported.
Status Reconcile(Database* database, const Table& table, const std::filesystem::path& root,
                 const BeforeRemoval& before = nullptr);

}  // namespace attune::versions
