#include "coordinator/retraining/cron.h"

#include "coordinator/retraining/rust/attune_cron.h"

namespace attune::retraining {
namespace {

constexpr size_t kErrorBytes = 512;
constexpr TimePoint kSomeDay = TimePoint(std::chrono::seconds(1767225600));  // 2026-01-01

const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

Status StatusOf(int32_t code, const char* error) {
  switch (code) {
    case ATTUNE_CRON_OK:
      return Status();
    case ATTUNE_CRON_INVALID:
      return InvalidArgument(error);
    case ATTUNE_CRON_NEVER:
      return FailedPrecondition(error);
    default:
      return Internal(error);
  }
}

int64_t FloorSeconds(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace

Result<Cron> Cron::Parse(std::string_view expression, std::string_view timezone) {
  char error[kErrorBytes] = "";
  void* handle = nullptr;
  int32_t code = attune_cron_new(Bytes(expression), expression.size(), Bytes(timezone),
                                 timezone.size(), &handle, error, sizeof error);
  ATTUNE_RETURN_IF_ERROR(StatusOf(code, error));
  Cron cron(std::shared_ptr<void>(handle, attune_cron_free));
  if (auto next = cron.Next(kSomeDay); !next.ok()) {
    return InvalidArgument(next.status().message());
  }
  return cron;
}

Result<TimePoint> Cron::Next(TimePoint after) const {
  char error[kErrorBytes] = "";
  int64_t next = 0;
  int32_t code = attune_cron_next(handle_.get(), FloorSeconds(after), &next, error, sizeof error);
  ATTUNE_RETURN_IF_ERROR(StatusOf(code, error));
  return TimePoint(std::chrono::seconds(next));
}

std::string Cron::Local(TimePoint time) const {
  char local[64] = "", error[kErrorBytes] = "";
  attune_cron_local(handle_.get(), FloorSeconds(time), local, sizeof local, error, sizeof error);
  return local;
}

}  // namespace attune::retraining
