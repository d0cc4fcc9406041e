#include "worker/agent/config.h"

#include <unistd.h>

#include <cstdlib>

#include "common/base/files.h"
#include "common/yaml/reader.h"
#include "worker/agent/host.h"

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

class PathReader {
 public:
  explicit PathReader(const fs::path& folder) : folder_(folder) {}
  void Read(yaml::Reader& reader, const char* key, fs::path* out) const {
    std::string text;
    if (reader.Optional(key, &text)) *out = folder_ / text;
  }
  void Read(yaml::Reader& reader, const char* key, std::string* out) const {
    std::string text;
    if (reader.Optional(key, &text)) *out = (folder_ / text).string();
  }

 private:
  const fs::path& folder_;
};

// Names that the user chose, each with a program and its arguments.
void ReadJudges(yaml::Reader& reader, const fs::path& folder,
                std::map<std::string, std::vector<std::string>>* judges) {
  reader.Section("judges", [&](yaml::Reader& section) {
    for (const std::string& name : section.Keys()) {
      std::vector<std::string> command;
      if (!section.Optional(name, &command)) continue;
      if (command.empty() || command[0].empty()) {
        section.Fail(name, "judges." + name +
                               " must be a program and its arguments: [program, argument, ...]");
        continue;
      }
      // Without a slash it is a name on the PATH.
      if (command[0].find('/') != std::string::npos) command[0] = folder / command[0];
      (*judges)[name] = std::move(command);
    }
  });
}

std::string EnvironmentOr(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::string(value) : otherwise;
}

Status CheckDevice(WorkerConfig* config) {
  const size_t gpus = GpuNames().size();
  if (config->device == "cuda" && gpus == 0) {
    return FailedPrecondition(
        "device is 'cuda' but this host shows no NVIDIA GPU; set device: cpu");
  }
  if (config->slots == 0) {
    config->slots = config->device == "cuda" ? static_cast<uint32_t>(gpus) : 1;
  }
  if (config->device == "cuda" && config->slots > gpus) {
    return InvalidArgument("slots is " + std::to_string(config->slots) + " but this host has " +
                           std::to_string(gpus) + " GPUs; a slot is one GPU");
  }
  if (config->cores == 0) config->cores = ReadHostFacts().cores;
  return Status();
}

Status CheckFiles(WorkerConfig* config) {
  std::error_code error;
  if (!config->storage.empty() && !fs::is_directory(config->storage, error)) {
    return NotFound("storage " + config->storage.string() +
                    " is not a folder here; a worker must see the coordinator's storage under the "
                    "same path (mount it, or correct the key 'storage')");
  }
  if (config->trainer.empty()) {
    config->trainer = fs::read_symlink("/proc/self/exe", error).parent_path() / "attune-trainer";
  }
  config->trainer = fs::absolute(config->trainer, error);
  if (access(config->trainer.c_str(), X_OK) != 0) {
    return NotFound("trainer " + config->trainer.string() +
                    " is not an executable file; set the key 'trainer' to attune-trainer's path");
  }
  if (config->work_dir.empty()) {
    fs::path home = EnvironmentOr("ATTUNE_HOME", EnvironmentOr("HOME", "/var/lib") + "/.attune");
    config->work_dir = home / "workers" / config->node;
  }
  config->work_dir = fs::absolute(config->work_dir, error);
  return Status();
}

}  // namespace

Status ReadWorkerConfig(const yaml::Document& document, const fs::path& folder,
                        WorkerConfig* config) {
  yaml::Reader reader(document);
  const PathReader paths(folder);
  reader.Section("coordinator", [&](yaml::Reader& section) {
    section.Optional("address", &config->coordinator.address);
    paths.Read(section, "ca", &config->coordinator.ca_file);
    paths.Read(section, "cert", &config->coordinator.cert_file);
    paths.Read(section, "key", &config->coordinator.key_file);
    paths.Read(section, "token_file", &config->token_file);
  });
  reader.Optional("node", &config->node);
  reader.Optional("device", &config->device, yaml::OneOf{{"cpu", "cuda"}});
  reader.Optional("slots", &config->slots, yaml::Range{1, 1024});
  reader.Optional("cores", &config->cores, yaml::Range{1, 65536});
  paths.Read(reader, "storage", &config->storage);
  paths.Read(reader, "work_dir", &config->work_dir);
  reader.Optional("metrics_listen", &config->metrics_listen);
  reader.Optional("metrics_public", &config->metrics_public);
  paths.Read(reader, "trainer", &config->trainer);
  ReadJudges(reader, folder, &config->judges);
  reader.Optional("log_level", &config->log_level, yaml::OneOf{{"debug", "info", "warn", "error"}});
  return reader.Finish();
}

Result<std::string> ReadWorkerToken(const WorkerConfig& config) {
  if (config.token_file.empty()) return std::string();
  auto content = ReadFile(config.token_file, 4096);
  if (!content.ok()) return content.status().WithContext("coordinator.token_file");
  std::string token = *content;
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  if (token.empty() || token.find_first_of(" \t\r\n") != std::string::npos) {
    return InvalidArgument("coordinator.token_file " + config.token_file.string() +
                           " must hold one token on one line");
  }
  return token;
}

Status CompleteWorkerConfig(WorkerConfig* config) {
  if (config->node.empty()) config->node = HostName();
  if (!IsValidName(config->node)) {
    return InvalidArgument("node '" + config->node +
                           "' must be 1 to 63 of [a-z0-9._-], starting with a letter or digit; set "
                           "the key 'node'");
  }
  if (config->coordinator.ca_file.empty() && !rpc::IsLoopback(config->coordinator.address)) {
    return InvalidArgument("coordinator.address " + config->coordinator.address +
                           " is not on this host, so the connection needs TLS: set coordinator.ca");
  }
  if (config->coordinator.cert_file.empty() != config->coordinator.key_file.empty()) {
    return InvalidArgument("coordinator.cert and coordinator.key go together: set both or neither");
  }
  if (!config->metrics_listen.empty() && !config->metrics_public &&
      !rpc::IsLoopback(config->metrics_listen)) {
    return InvalidArgument("metrics_listen " + config->metrics_listen +
                           " would show /metrics to other machines in clear text: set "
                           "metrics_public: true if that is meant");
  }
  ATTUNE_RETURN_IF_ERROR(ReadWorkerToken(*config).status());
  ATTUNE_RETURN_IF_ERROR(CheckDevice(config));
  return CheckFiles(config);
}

}  // namespace attune::worker
