#include "common/model/folder_checksum.h"

#include <cerrno>
#include <fstream>
#include <set>
#include <system_error>

#include "common/base/hash.h"

namespace attune {
namespace fs = std::filesystem;
namespace {

Result<std::string> HashFile(const fs::path& path,
                             const std::function<Status(uint64_t)>& on_bytes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoStatus(errno, "open " + path.string());
  Sha256 hash;
  std::string piece(1 << 20, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    hash.Update(piece.data(), static_cast<size_t>(in.gcount()));
    if (on_bytes) ATTUNE_RETURN_IF_ERROR(on_bytes(static_cast<uint64_t>(in.gcount())));
  }
  if (in.bad()) return ErrnoStatus(errno, "read " + path.string());
  return hash.Hex();
}

}  // namespace

Result<FolderChecksum> ChecksumFolder(const fs::path& folder,
                                      const std::function<Status(uint64_t)>& on_bytes) {
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
    ATTUNE_ASSIGN_OR_RETURN(std::string sha256, HashFile(folder / name, on_bytes));
    all.Update(name + " " + sha256 + "\n");
    checksum.bytes += fs::file_size(folder / name, error);
    if (error) return ErrnoStatus(error.value(), "stat " + (folder / name).string());
  }
  checksum.sha256 = all.Hex();
  return checksum;
}

}  // namespace attune
