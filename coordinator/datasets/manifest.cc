#include <nlohmann/json.hpp>

#include "coordinator/curation/findings.h"
#include "coordinator/datasets/version_writer.h"

namespace attune::datasets {

std::string ManifestJson(const v1::DatasetVersion& version, const Imported& imported) {
  nlohmann::ordered_json manifest = {{"name", version.name()},
                                     {"version", version.version()},
                                     {"checksum", version.checksum()},
                                     {"shape", version.shape()},
                                     {"shards", nlohmann::ordered_json::array()}};
  for (const Shard& shard : imported.shards) {
    manifest["shards"].push_back({{"file", shard.file},
                                  {"split", shard.split},
                                  {"examples", shard.examples},
                                  {"bytes", shard.bytes},
                                  {"sha256", shard.sha256}});
  }
  if (!imported.findings_sha256.empty()) {
    manifest["findings"] = {{"file", curation::kFindingsFile},
                            {"sha256", imported.findings_sha256}};
  }
  return manifest.dump(2) + "\n";
}

}  // namespace attune::datasets
