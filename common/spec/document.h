#pragma once

// The schema for people.

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/status.h"

namespace attune::spec {

// What `attune job explain PATH` prints: a key, a section, or with "" all keys. kNotFound with the
// nearest key for one that does not exist.
Result<std::string> Explain(const std::string& path);
// The same for programs: a list of {key, type, default, allowed, applies, doc}; default is absent
// when the key is required, allowed and applies when there is no limit.
Result<nlohmann::ordered_json> ExplainJson(const std::string& path);
// The text of docs/job-spec.md.
std::string Markdown();

}  // namespace attune::spec
