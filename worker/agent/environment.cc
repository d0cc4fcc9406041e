#include "worker/agent/environment.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace attune::worker {
namespace {

constexpr std::string_view kMemoryLimit = "ATTUNE_MEMORY_LIMIT";

}  // namespace

std::vector<std::string> TrainerEnvironment(const WorkerConfig& config,
                                            const TrainerIdentity& identity,
                                            const std::string& run_token,
                                            const std::map<std::string, std::string>& asked,
                                            char const* const* inherited) {
  std::map<std::string, std::string> variables;
  for (; inherited != nullptr && *inherited != nullptr; ++inherited) {
    const std::string_view entry = *inherited;
    const size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string_view::npos) continue;
    if (entry.starts_with("ATTUNE_") && entry.substr(0, equals) != kMemoryLimit) continue;
    variables[std::string(entry.substr(0, equals))] = entry.substr(equals + 1);
  }
  const std::string threads = std::to_string(std::max<uint32_t>(1, config.cores / config.slots));
  const std::string slot = std::to_string(identity.slot);
  variables["ATTUNE_COORDINATOR"] = config.coordinator.address;
  variables["ATTUNE_TRAINER_ID"] = identity.trainer_id;
  variables["ATTUNE_RUN_TOKEN"] = run_token;
  variables["ATTUNE_SLOT"] = slot;
  variables["ATTUNE_DEVICE"] = config.device == "cuda" ? "cuda:" + slot : config.device;
  variables["ATTUNE_THREADS"] = threads;
  variables["OMP_NUM_THREADS"] = threads;
  variables["MKL_NUM_THREADS"] = threads;
  // libgomp's threads wait for each other by spinning, for milliseconds unless told: with more
  // threads than cores on the host that takes the core from the one that is waited for, and steps
  // took five to ten times as long. The worker's own environment may say otherwise.
  if (!variables.contains("OMP_WAIT_POLICY")) variables.try_emplace("GOMP_SPINCOUNT", "1000");
  if (!config.judges.empty()) {
    variables["ATTUNE_JUDGES"] =
        nlohmann::json(config.judges)
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  const auto& tls = config.coordinator;
  if (!tls.ca_file.empty()) variables["ATTUNE_COORDINATOR_CA"] = tls.ca_file;
  if (!tls.cert_file.empty()) variables["ATTUNE_COORDINATOR_CERT"] = tls.cert_file;
  if (!tls.key_file.empty()) variables["ATTUNE_COORDINATOR_KEY"] = tls.key_file;
  for (const auto& [name, value] : asked) variables[name] = value;

  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

}  // namespace attune::worker
