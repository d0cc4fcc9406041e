#pragma once

// $ATTUNE_HOME/cluster.yaml: what `attune up` started, so that it can be found, brought back and
// stopped.

#include <filesystem>
#include <string>

#include "common/base/status.h"

namespace attune::cli {

struct ClusterFile {
  int port = 0;
  int metrics_port = 0;
  int workers = 0;
  std::string device = "auto";

  std::string Address() const { return "127.0.0.1:" + std::to_string(port); }
};

std::filesystem::path ClusterFilePath(const std::filesystem::path& home);
// kNotFound when nothing was started there.
Result<ClusterFile> ReadClusterFile(const std::filesystem::path& home);
Status WriteClusterFile(const std::filesystem::path& home, const ClusterFile& cluster);

}  // namespace attune::cli
