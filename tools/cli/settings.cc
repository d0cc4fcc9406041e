#include "tools/cli/settings.h"

#include "common/base/files.h"
#include "common/yaml/reader.h"
#include "tools/cli/cluster_file.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;

// One context of the configuration file. Files are relative to it.
void ReadContext(yaml::Reader& reader, const fs::path& folder, rpc::Endpoint* endpoint,
                 std::string* token_file) {
  reader.Required("address", &endpoint->address);
  auto file = [&](const char* key, std::string* out) {
    if (reader.Optional(key, out)) *out = folder / *out;
  };
  file("ca", &endpoint->ca_file);
  file("cert", &endpoint->cert_file);
  file("key", &endpoint->key_file);
  file("token_file", token_file);
}

Result<bool> FromConfigFile(const fs::path& path, std::string context, Settings* settings,
                            std::string* token_file) {
  auto document = yaml::ParseFile(path);
  if (!document.ok()) {
    if (document.status().code() != StatusCode::kNotFound) return document.status();
    if (context.empty()) return false;
    return NotFound("no context '" + context + "': there is no " + path.string());
  }
  yaml::Reader reader(*document);
  std::string current;
  reader.Optional("current", &current);
  if (context.empty()) context = current;
  bool found = false;
  reader.Section("contexts", [&](yaml::Reader& contexts) {
    for (const std::string& name : contexts.Keys()) {
      rpc::Endpoint endpoint;
      std::string token;
      contexts.Section(name, [&](yaml::Reader& one) {
        ReadContext(one, path.parent_path(), &endpoint, &token);
      });
      if (name != context) continue;
      found = true;
      settings->endpoint = endpoint;
      *token_file = token;
    }
  });
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  if (context.empty()) return false;
  if (!found) return NotFound("no context '" + context + "' in " + path.string());
  settings->source = "context '" + context + "' of " + path.string();
  return true;
}

// The flag, else the variable. True when either was given.
bool Pick(const Arguments& arguments, const Io& io, const char* flag, const char* variable,
          std::string* out, std::string* source = nullptr) {
  std::string value = arguments.Get(flag);
  const char* from = flag;
  if (value.empty()) value = io.getenv(from = variable);
  if (value.empty()) return false;
  *out = value;
  if (source != nullptr) *source = from;
  return true;
}

std::string Trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  return text;
}

}  // namespace

fs::path HomeFolder(const Io& io) {
  std::string home = io.getenv("ATTUNE_HOME");
  if (home.empty()) home = io.getenv("HOME") + "/.attune";
  return fs::absolute(home).lexically_normal();
}

fs::path ConfigFile(const Io& io) {
  if (std::string file = io.getenv("ATTUNE_CONFIG"); !file.empty()) return file;
  std::string folder = io.getenv("XDG_CONFIG_HOME");
  if (folder.empty()) folder = io.getenv("HOME") + "/.config";
  return fs::path(folder) / "attune" / "config.yaml";
}

Result<Settings> ResolveSettings(const Arguments& arguments, const Io& io) {
  Settings settings;
  rpc::Endpoint& endpoint = settings.endpoint;
  std::string context, token_file;
  bool chosen = Pick(arguments, io, "--context", "ATTUNE_CONTEXT", &context);
  bool direct =
      Pick(arguments, io, "--address", "ATTUNE_ADDRESS", &endpoint.address, &settings.source);
  // An address given by hand does not get the identity of another cluster's context.
  if (!direct || chosen) {
    Settings from_file;
    ATTUNE_ASSIGN_OR_RETURN(bool found,
                            FromConfigFile(ConfigFile(io), context, &from_file, &token_file));
    if (found) {
      if (direct) from_file.endpoint.address = endpoint.address, from_file.source = settings.source;
      settings = from_file;
    }
  }
  if (endpoint.address.empty()) {
    if (auto cluster = ReadClusterFile(HomeFolder(io)); cluster.ok()) {
      endpoint.address = cluster->Address();
      settings.source = ClusterFilePath(HomeFolder(io));
    } else if (cluster.status().code() != StatusCode::kNotFound) {
      return cluster.status();
    }
  }
  if (endpoint.address.empty()) {
    endpoint.address = "127.0.0.1:" + std::to_string(kDefaultPort);
    settings.source = "the default";
  }
  Pick(arguments, io, "--ca", "ATTUNE_CA", &endpoint.ca_file);
  Pick(arguments, io, "--cert", "ATTUNE_CERT", &endpoint.cert_file);
  Pick(arguments, io, "--key", "ATTUNE_KEY", &endpoint.key_file);
  Pick(arguments, io, "--token-file", "ATTUNE_TOKEN_FILE", &token_file);
  if (!token_file.empty()) {
    auto token = ReadFile(token_file, 1 << 16);
    if (!token.ok()) return token.status().WithContext("token file");
    endpoint.token = Trimmed(*token);
  }
  if (std::string token = io.getenv("ATTUNE_TOKEN");
      !token.empty() && arguments.Get("--token-file").empty()) {
    endpoint.token = token;
  }
  if (endpoint.cert_file.empty() != endpoint.key_file.empty()) {
    return InvalidArgument("a client certificate needs both --cert and --key");
  }
  return settings;
}

}  // namespace attune::cli
