#pragma once

// Rows of data sets, and what changed between two versions, as a person reads them. Pure functions.

#include <nlohmann/json.hpp>
#include <string>

#include "attune/v1/datasets.pb.h"
#include "tools/cli/job_view.h"

namespace attune::cli {

// A shard's line: its id, kind and metadata, then who says what. Long texts are cut.
std::string RowText(const nlohmann::ordered_json& row, const ViewOptions& options);

// One line: the first words of a row.
std::string RowGist(const std::string& row, size_t width);

std::string DiffCard(const v1::DatasetDiff& diff, const ViewOptions& options);

}  // namespace attune::cli
