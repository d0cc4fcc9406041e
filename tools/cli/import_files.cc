#include "tools/cli/import_files.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "common/base/glob.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kVisitedMax = 1'000'000;

// Folders as deep as the pattern's; all of them below a "**".
int DepthOf(const std::string& pattern, const std::string& folder) {
  if (pattern.find("**") != std::string::npos) return -1;
  const std::string below = pattern.substr(folder.size());
  return static_cast<int>(std::ranges::count(below, '/'));
}

Result<std::vector<std::string>> Expand(const std::string& pattern) {
  const std::string folder = GlobFolder(pattern);
  const int depth_max = DepthOf(pattern, folder);
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder.empty() ? "." : folder,
                                      fs::directory_options::skip_permission_denied, error);
  size_t visited = 0;
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (++visited > kVisitedMax) {
      return ResourceExhausted("there are more than " + std::to_string(kVisitedMax) +
                               " files below " + (folder.empty() ? "." : folder) +
                               ": name a folder below it");
    }
    std::error_code gone;
    const bool is_folder = it->is_directory(gone);
    if (is_folder && depth_max >= 0 && it.depth() >= depth_max) it.disable_recursion_pending();
    std::string path = it->path().generic_string();
    if (folder.empty()) path = path.substr(2);  // "./"
    if (!is_folder && MatchesGlob(pattern, path)) files.push_back(std::move(path));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), "list what matches " + pattern);
  }
  std::ranges::sort(files);
  if (files.empty()) return NotFound("no file matches " + pattern);
  return files;
}

}  // namespace

Result<ImportFiles> FindImportFiles(const std::vector<std::string>& named) {
  ImportFiles found;
  std::set<std::string> seen;
  for (const std::string& name : named) {
    if (name.starts_with("s3://")) {
      if (seen.insert(name).second) found.uris.push_back(name);
      continue;
    }
    std::error_code error;
    std::vector<std::string> files{name};
    if (HasGlob(name) && !fs::exists(name, error)) {
      ATTUNE_ASSIGN_OR_RETURN(files, Expand(name));
    }
    for (std::string& file : files) {
      if (seen.insert(file).second) found.files.push_back(std::move(file));
    }
  }
  return found;
}

}  // namespace attune::cli
