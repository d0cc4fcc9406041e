#include "coordinator/models/checksum.h"

#include <set>
#include <system_error>

#include "common/base/hash.h"

namespace attune::models {
namespace fs = std::filesystem;

Result<FolderChecksum> ChecksumFolder(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    std::error_code ignored;
    if (name[0] != '.' && it->is_regular_file(ignored)) names.insert(name);
  }
  if (error) return ErrnoStatus(error.value(), "list " + folder.string());
  FolderChecksum checksum;
  Sha256 all;
  for (const std::string& name : names) {
    ATTUNE_ASSIGN_OR_RETURN(std::string sha256, Sha256OfFile(folder / name));
    all.Update(name + " " + sha256 + "\n");
    checksum.bytes += fs::file_size(folder / name, error);
    if (error) return ErrnoStatus(error.value(), "stat " + (folder / name).string());
  }
  checksum.sha256 = all.Hex();
  return checksum;
}

}  // namespace attune::models
