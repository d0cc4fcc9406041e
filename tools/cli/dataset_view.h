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
std::string DatasetCard(const v1::DatasetVersion& dataset, const ViewOptions& options);

}  // namespace attune::cli
