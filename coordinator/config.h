#pragma once

// What attune-coordinator is told by its configuration file. configs/clusters/coordinator.yaml is a
// sample that explains every key.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune {

struct CoordinatorConfig {
  std::string listen = "127.0.0.1:7070";          // port 0: any
  std::filesystem::path storage;                  // the cluster's folder; absolute after reading
  std::string metrics_listen = "127.0.0.1:9464";  // empty: none
  bool metrics_public = false;                    // /metrics may leave this machine, in clear text
  std::string tls_cert, tls_key, tls_ca;          // PEM files; ca: clients must show a certificate
  std::string token_file;                         // that all users share
  struct User {
    std::string name, token_file;
    std::vector<std::string> roles;
  };
  std::vector<User> users;        // each with a token of their own
  std::string worker_token_file;  // of workers; empty: token_file
  std::chrono::milliseconds heartbeat_interval{2'000};
  std::chrono::milliseconds lost_after{10'000};
  std::chrono::milliseconds attach_timeout{120'000};
  std::chrono::milliseconds reattach_timeout{30'000};
  std::chrono::milliseconds progress_timeout{3'600'000};
  std::chrono::milliseconds forget_lost_after{86'400'000};
  std::chrono::milliseconds keep_checkpoints{7 * 86'400'000};
  std::chrono::milliseconds pause_timeout{120'000};
  std::chrono::milliseconds pause_limit{1'800'000};
  std::string log_level = "info";
  bool init = false;  // a flag, not in the file: begin a cluster where the storage holds none
};

// Reads and checks the file. Relative paths in it are relative to its folder. Errors:
// kInvalidArgument with file, line and column; kNotFound.
Result<CoordinatorConfig> ReadCoordinatorConfig(const std::string& path);

}  // namespace attune
