#pragma once

// Where the coordinator is and who asks: flags over ATTUNE_* variables over the configuration
// file's context over the cluster that `attune up` started over the default port of this machine.

#include <filesystem>
#include <string>

#include "common/base/status.h"
#include "common/rpc/rpc.h"
#include "tools/cli/command.h"
#include "tools/cli/io.h"

namespace attune::cli {

inline constexpr int kDefaultPort = 7070;

struct Settings {
  rpc::Endpoint endpoint;
  std::string source;  // what the address comes from, for `doctor` and errors: "--address",
                       // "ATTUNE_ADDRESS", ...
};

Result<Settings> ResolveSettings(const Arguments& arguments, const Io& io);

// $ATTUNE_HOME, default ~/.attune: what `attune up` keeps.
std::filesystem::path HomeFolder(const Io& io);
// $ATTUNE_CONFIG, default $XDG_CONFIG_HOME/attune/config.yaml or ~/.config/attune/config.yaml.
std::filesystem::path ConfigFile(const Io& io);

}  // namespace attune::cli
