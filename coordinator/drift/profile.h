#pragma once

// The profile of what a model was trained on, kept as a file: STORAGE/cache/profiles/KEY. It can
// be made anew at any time.

#include <filesystem>
#include <string>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "common/base/status.h"
#include "coordinator/drift/detect.h"

namespace attune::drift {

// Names a profile: equal for an equal model, parts of data sets (in any order) and
// categories.
std::string ProfileKey(const v1::ReferenceProfile& of);

// of: model, data sets, categories and parts of the profile. Words beyond the 20,000 most frequent
// are left out. Returns the file's SHA-256.
Result<std::string> WriteProfile(const std::filesystem::path& path, v1::ReferenceProfile of,
                                 const Sample& sample);
// kNotFound, or kDataLoss when the file is not the one of that checksum.
Result<Sample> ReadProfile(const std::filesystem::path& path, const std::string& sha256);

}  // namespace attune::drift
