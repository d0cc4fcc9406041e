#pragma once

// Data set versions as a person reads them. Pure functions of the messages.

#include <cstdint>
#include <string>

#include "attune/v1/datasets.pb.h"
#include "tools/cli/job_view.h"

namespace attune::cli {

// "name@version".
std::string DatasetReference(const v1::DatasetVersion& dataset);
uint64_t ExamplesOf(const v1::DatasetVersion& dataset, const char* split);
// Bytes that were written for it; the others are shared with versions that were there.
uint64_t StoredBytes(const v1::DatasetVersion& dataset);
std::string DatasetCard(const v1::DatasetVersion& dataset, const ViewOptions& options);

}  // namespace attune::cli
