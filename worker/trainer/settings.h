#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "common/base/status.h"
#include "common/rpc/rpc.h"
#include "worker/trainer/translate.h"

namespace attune::trainer {

// What a trainer is told by its environment, so that any launcher can start it:
//   ATTUNE_COORDINATOR      host:port; ATTUNE_COORDINATOR_CA, _CERT, _KEY: files for TLS
//   ATTUNE_TRAINER_ID       who it is
//   ATTUNE_RUN_TOKEN        good for its run only
//   ATTUNE_DEVICE           "cpu" (default) or "cuda:N"
//   ATTUNE_THREADS          where a job leaves it open; 0 (default): torch's choice
//   ATTUNE_MEMORY_LIMIT     bytes that a rank may use; 0 (default): what its device or host has
//   ATTUNE_JUDGES           {"NAME": ["program", "argument", ...], ...}; default: none
//   ATTUNE_AWAY_SECONDS     how long it goes on without the coordinator; default 600
//   ATTUNE_LOG_LEVEL        debug, info (default), warn or error
struct Settings {
  std::string trainer_id;
  rpc::Endpoint endpoint;
  Place place;
  std::chrono::seconds away_max{600};
  std::string log_level = "info";
};

// get: getenv, or a test's. Errors: kInvalidArgument, naming the variable.
Result<Settings> ReadSettings(const std::function<const char*(const char*)>& get);

}  // namespace attune::trainer
