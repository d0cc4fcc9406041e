#pragma once

// What a user named to be imported: files, patterns of files, and objects of buckets.

#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::cli {

struct ImportFiles {
  std::vector<std::string> files;  // to send; "-" is standard input
  std::vector<std::string> uris;   // for the coordinator to read
};

// Replaces a pattern that the shell has left (quoted, with "**") by the files that match it, by
// name; names each file once. kNotFound when a file is not there or nothing matches.
Result<ImportFiles> FindImportFiles(const std::vector<std::string>& named);

}  // namespace attune::cli
