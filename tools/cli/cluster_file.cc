#include "tools/cli/cluster_file.h"

#include "common/base/files.h"
#include "common/yaml/reader.h"

namespace attune::cli {

std::filesystem::path ClusterFilePath(const std::filesystem::path& home) {
  return home / "cluster.yaml";
}

Result<ClusterFile> ReadClusterFile(const std::filesystem::path& home) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::ParseFile(ClusterFilePath(home)));
  ClusterFile cluster;
  yaml::Reader reader(document);
  reader.Required("port", &cluster.port, yaml::Range{1, 65535});
  reader.Required("metrics_port", &cluster.metrics_port, yaml::Range{1, 65535});
  reader.Required("workers", &cluster.workers, yaml::Range{0, 1024});
  reader.Optional("device", &cluster.device);
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  return cluster;
}

Status WriteClusterFile(const std::filesystem::path& home, const ClusterFile& cluster) {
  return WriteFileAtomically(ClusterFilePath(home),
                             "# Written by `attune up`.\nport: " + std::to_string(cluster.port) +
                                 "\nmetrics_port: " + std::to_string(cluster.metrics_port) +
                                 "\nworkers: " + std::to_string(cluster.workers) +
                                 "\ndevice: " + cluster.device + "\n");
}

}  // namespace attune::cli
