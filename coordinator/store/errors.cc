#include <soci/sqlite3/soci-sqlite3.h>

#include "coordinator/store/database.h"

namespace attune {

Status StatusOfException(const std::exception& exception) {
  std::string message = std::string("state database: ") + exception.what();
  const auto* error = dynamic_cast<const soci::sqlite3_soci_error*>(&exception);
  if (error == nullptr) return Internal(std::move(message));
  switch (error->result() & 0xff) {  // the primary code of an extended one
    case SQLITE_FULL:
      return ResourceExhausted("the disk that holds the state database is full: free some space");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(message + ": the file is damaged: restore a backup, see docs/operations.md");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Unavailable(message + ": another process holds it");
    case SQLITE_CONSTRAINT:
      return AlreadyExists(std::move(message));
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return FailedPrecondition(message + ": check the permissions of the storage folder");
    default:
      return Internal(std::move(message));
  }
}

}  // namespace attune
