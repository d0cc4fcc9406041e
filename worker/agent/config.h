#pragma once

// What attune-worker is told by its configuration file and flags. configs/clusters/worker.yaml is a
// sample that explains every key.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/rpc/rpc.h"
#include "common/yaml/document.h"

namespace attune::worker {

struct WorkerConfig {
  rpc::Endpoint coordinator{.address = "127.0.0.1:7070"};
  std::filesystem::path token_file;  // read at each dial
  std::string node;                  // default: the host's name
  std::string device = "cpu";        // or "cuda"
  uint32_t slots = 0;                // 0: one, or one per GPU
  uint32_t cores = 0;                // the slots share them; 0: all this process may use
  std::filesystem::path storage;     // the cluster's shared folder; empty: not checked
  std::filesystem::path work_dir;    // logs of running trainers; one worker a folder
  std::string metrics_listen;        // host:port of /metrics, port 0: any; empty: none
  bool metrics_public = false;       // /metrics may leave this machine, in clear text
  std::filesystem::path trainer;     // default: attune-trainer beside this program
  std::map<std::string, std::vector<std::string>> judges;  // of answers: program and arguments
  std::string log_level = "info";
};

// Reads the file's keys over what config holds. Errors: kInvalidArgument with file, line and
// column.
Status ReadWorkerConfig(const yaml::Document& document, const std::filesystem::path& folder,
                        WorkerConfig* config);

// Fills in the defaults that depend on the machine, checks what must exist, the token too. Errors
// say which key to change.
Status CompleteWorkerConfig(WorkerConfig* config);

// The token of config.token_file, empty when there is no such key.
Result<std::string> ReadWorkerToken(const WorkerConfig& config);

}  // namespace attune::worker
