// Any bytes are a cron expression or an error; what parses fires at increasing times.

#include <cstddef>
#include <cstdint>
#include <string>

#include "coordinator/retraining/cron.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const kZones[] = {"UTC", "Europe/Berlin", "America/New_York",
                                       "Australia/Lord_Howe", "Africa/Casablanca"};
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  auto cron = attune::retraining::Cron::Parse(text, kZones[data[0] % 5]);
  (void)attune::retraining::Cron::Parse("0 3 * * *", text);
  if (!cron.ok()) return 0;
  attune::TimePoint at{std::chrono::seconds(1774000000 + data[0] * 1000)};
  for (int i = 0; i < 5; ++i) {
    auto next = cron->Next(at);
    ATTUNE_CHECK(next.ok() && *next > at);
    at = *next;
  }
  return 0;
}
