#pragma once

// A model version's card: markdown with the front matter that the Hugging Face Hub reads, written
// from recorded facts only. A pure function; what is not recorded is not in it.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "attune/v1/gates.pb.h"
#include "attune/v1/models.pb.h"
#include "common/base/status.h"

namespace attune {
class Database;
}

namespace attune::models {

struct CardFacts {
  v1::ModelVersion version;
  std::vector<v1::DatasetVersion> datasets;  // of its lineage, as far as they are known
  std::optional<v1::GateReport> gates;
  std::vector<v1::AliasMove> moves;  // that led to it or away from it, newest first
};

std::string RenderCard(const CardFacts& facts);

// find_dataset: the catalog's Get; what it does not know any more is left out.
using FindDataset = std::function<Result<v1::DatasetVersion>(const std::string&)>;
Result<CardFacts> GatherCard(Database* database, const v1::ModelVersion& version,
                             const FindDataset& find_dataset);

}  // namespace attune::models
