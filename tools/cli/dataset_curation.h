#pragma once

// What curation did to a version, as `attune dataset show` says it. Each is empty where there is
// nothing to say.

#include <string>

#include "attune/v1/datasets.pb.h"

namespace attune::cli {

// "12 near_duplicate, 3 too_short", and how to list them.
std::string LeftOut(const v1::DatasetVersion& dataset);
// What kept examples have: near-duplicates on their side, patterns, overlaps.
std::string FoundIn(const v1::DatasetVersion& dataset);
// The options that are not the defaults: "near-duplicates from 0.70 removed; 10 to 2,000
// characters".
std::string CuratedBy(const v1::DatasetVersion& dataset);

}  // namespace attune::cli
