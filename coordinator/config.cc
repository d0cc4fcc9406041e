#include "coordinator/config.h"

#include "common/yaml/reader.h"

namespace attune {
namespace {

void MakeAbsolute(const std::filesystem::path& folder, std::string* path) {
  if (!path->empty()) *path = (folder / *path).lexically_normal().string();
}

bool HasPort(const std::string& address) {
  size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) return false;
  return address.find_first_not_of("0123456789", colon + 1) == std::string::npos &&
         address.size() - colon <= 6;
}

}  // namespace

Result<CoordinatorConfig> ReadCoordinatorConfig(const std::string& path) {
  CoordinatorConfig config;
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::ParseFile(path));
  yaml::Reader reader(document);
  std::string storage;
  const yaml::Range seconds{0.1, 3600};
  reader.Required("storage", &storage);
  reader.Optional("listen", &config.listen);
  reader.Optional("metrics_listen", &config.metrics_listen);
  reader.Optional("metrics_public", &config.metrics_public);
  reader.Section("tls", [&](yaml::Reader& tls) {
    tls.Required("cert", &config.tls_cert);
    tls.Required("key", &config.tls_key);
    tls.Optional("ca", &config.tls_ca);
  });
  reader.Optional("token_file", &config.token_file);
  reader.Optional("worker_token_file", &config.worker_token_file);
  reader.Sections("users", [&](yaml::Reader& section) {
    CoordinatorConfig::User user;
    section.Required("name", &user.name);
    section.Required("token_file", &user.token_file);
    section.Optional("roles", &user.roles, yaml::OneOf{{"user", "promoter"}});
    config.users.push_back(std::move(user));
  });
  reader.Optional("heartbeat_interval", &config.heartbeat_interval, yaml::Range{0.1, 60});
  reader.Optional("lost_after", &config.lost_after, seconds);
  reader.Optional("attach_timeout", &config.attach_timeout, seconds);
  reader.Optional("reattach_timeout", &config.reattach_timeout, seconds);
  const yaml::Range up_to_a_month{1, 30 * 86400.0}, up_to_a_year{0, 365 * 86400.0};
  reader.Optional("progress_timeout", &config.progress_timeout, up_to_a_month);
  reader.Optional("forget_lost_after", &config.forget_lost_after, up_to_a_month);
  reader.Optional("pause_timeout", &config.pause_timeout, yaml::Range{1, 86400});
  reader.Optional("pause_limit", &config.pause_limit, yaml::Range{1, 86400});
  reader.Optional("log_level", &config.log_level, yaml::OneOf{{"debug", "info", "warn", "error"}});
  reader.Optional("keep_checkpoints", &config.keep_checkpoints, up_to_a_year);
  if (!HasPort(config.listen)) reader.Fail("listen", "listen must be host:port");
  if (!config.metrics_listen.empty() && !HasPort(config.metrics_listen)) {
    reader.Fail("metrics_listen", "metrics_listen must be host:port");
  }
  if (!config.users.empty() && config.token_file.empty() && config.worker_token_file.empty()) {
    reader.Fail("users", "users needs worker_token_file (or token_file): what workers show");
  }
  if (config.lost_after < 2 * config.heartbeat_interval) {
    reader.Fail("lost_after", "lost_after must be at least twice heartbeat_interval");
  }
  if (config.forget_lost_after < config.lost_after) {
    reader.Fail("forget_lost_after", "forget_lost_after must be at least lost_after");
  }
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  const auto folder = std::filesystem::absolute(path).parent_path();
  MakeAbsolute(folder, &storage);
  config.storage = storage;
  for (std::string* file : {&config.tls_cert, &config.tls_key, &config.tls_ca, &config.token_file,
                            &config.worker_token_file}) {
    MakeAbsolute(folder, file);
  }
  for (CoordinatorConfig::User& user : config.users) MakeAbsolute(folder, &user.token_file);
  return config;
}

}  // namespace attune
