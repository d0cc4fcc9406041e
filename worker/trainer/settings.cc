#include "worker/trainer/settings.h"

#include <charconv>
#include <cstring>

namespace attune::trainer {
namespace {

template <typename Number>
Status ReadNumber(const char* name, const char* text, Number max, Number* out) {
  if (text == nullptr || *text == '\0') return Status();
  Number value = 0;
  const char* end = text + std::strlen(text);
  auto [stop, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stop != end || value < 0 || value > max) {
    return InvalidArgument(std::string(name) + " must be a whole number from 0 to " +
                           std::to_string(max) + ", not '" + text + "'");
  }
  *out = value;
  return Status();
}

}  // namespace

Result<Settings> ReadSettings(const std::function<const char*(const char*)>& get) {
  Settings settings;
  auto text = [&](const char* name, std::string otherwise = "") {
    const char* value = get(name);
    return value != nullptr && *value != '\0' ? std::string(value) : otherwise;
  };
  settings.endpoint.address = text("ATTUNE_COORDINATOR");
  settings.trainer_id = text("ATTUNE_TRAINER_ID");
  settings.endpoint.token = text("ATTUNE_RUN_TOKEN");
  for (const char* name : {"ATTUNE_COORDINATOR", "ATTUNE_TRAINER_ID", "ATTUNE_RUN_TOKEN"}) {
    if (text(name).empty()) {
      return InvalidArgument(
          std::string(name) +
          " is not set: attune-trainer is started by attune-worker, not by hand");
    }
  }
  settings.endpoint.ca_file = text("ATTUNE_COORDINATOR_CA");
  settings.endpoint.cert_file = text("ATTUNE_COORDINATOR_CERT");
  settings.endpoint.key_file = text("ATTUNE_COORDINATOR_KEY");
  if (settings.endpoint.ca_file.empty() && !rpc::IsLoopback(settings.endpoint.address)) {
    return InvalidArgument("ATTUNE_COORDINATOR " + settings.endpoint.address +
                           " is not on this host, so the connection needs TLS: set "
                           "ATTUNE_COORDINATOR_CA");
  }
  settings.place.device = text("ATTUNE_DEVICE", "cpu");
  settings.log_level = text("ATTUNE_LOG_LEVEL", "info");
  auto judges = ReadJudgeCommands(text("ATTUNE_JUDGES", "{}"));
  if (!judges.ok()) return judges.status().WithContext("ATTUNE_JUDGES");
  settings.place.judges = std::move(*judges);
  ATTUNE_RETURN_IF_ERROR(
      ReadNumber("ATTUNE_THREADS", get("ATTUNE_THREADS"), 65536, &settings.place.threads));
  ATTUNE_RETURN_IF_ERROR(ReadNumber<int64_t>("ATTUNE_MEMORY_LIMIT", get("ATTUNE_MEMORY_LIMIT"),
                                             int64_t{1} << 60, &settings.place.memory_limit));
  int away = static_cast<int>(settings.away_max.count());
  ATTUNE_RETURN_IF_ERROR(
      ReadNumber("ATTUNE_AWAY_SECONDS", get("ATTUNE_AWAY_SECONDS"), 1'000'000, &away));
  settings.away_max = std::chrono::seconds(away);
  return settings;
}

}  // namespace attune::trainer
