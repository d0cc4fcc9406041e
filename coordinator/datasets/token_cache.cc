#include "coordinator/datasets/token_cache.h"

#include <system_error>
#include <vector>

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;

// What may vanish while it is listed, as jobs come and go, is no error.
std::vector<fs::path> List(const fs::path& folder, std::error_code* error) {
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, *error), end; !*error && it != end; it.increment(*error)) {
    paths.push_back(it->path());
  }
  if (*error == std::errc::no_such_file_or_directory) error->clear();
  return paths;
}

Result<std::vector<fs::path>> EntriesOf(const fs::path& storage,
                                        const std::set<std::string>& shards) {
  const fs::path tokens = storage / "cache" / "tokens";
  std::vector<fs::path> entries;
  std::error_code error;
  for (const fs::path& key : List(tokens, &error)) {
    if (!fs::is_directory(key, error)) continue;
    for (fs::path& entry : List(key, &error)) {
      const std::string shard = entry.filename().string().substr(0, kTokenNameDigits);
      if (shards.contains(shard)) entries.push_back(std::move(entry));
    }
    if (error) break;
  }
  if (error) return ErrnoStatus(error.value(), "list " + tokens.string());
  return entries;
}

}  // namespace

Result<std::set<std::string>> FindTokens(const fs::path& storage,
                                         const std::set<std::string>& shards) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, EntriesOf(storage, shards));
  std::set<std::string> found;
  for (const fs::path& entry : entries) {
    found.insert(entry.filename().string().substr(0, kTokenNameDigits));
  }
  return found;
}

Status RemoveTokens(const fs::path& storage, const std::set<std::string>& shards) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, EntriesOf(storage, shards));
  for (const fs::path& entry : entries) {
    std::error_code error;
    fs::remove_all(entry, error);
    if (error) return ErrnoStatus(error.value(), "remove " + entry.string());
  }
  return Status();
}

}  // namespace attune::datasets
