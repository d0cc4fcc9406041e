#pragma once

// The patterns over a row: every string of its content and of its metadata.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "coordinator/curation/patterns.h"

namespace attune::curation {

struct RowScan {
  std::vector<size_t> found;  // patterns (of PatternSet::rules()) that match somewhere, ascending
  // Those for which some text was too costly to be searched to its end, ascending.
  std::vector<size_t> too_costly;
  bool redacted = false;  // content or metadata was changed
};

// Replaces what is to be redacted within content's strings, but for those under the keys role and
// type, which say what a message is. Keys are left as they are. Recursion is as deep as content is
// nested.
RowScan ScanContent(const PatternSet& patterns, nlohmann::ordered_json* content);

// Adds to what was found in the content. A value may grow by what replaces it.
void ScanMetadata(const PatternSet& patterns, std::map<std::string, std::string>* metadata,
                  RowScan* scan);

}  // namespace attune::curation
