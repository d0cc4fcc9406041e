#include "coordinator/drift/due.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <chrono>

#include "common/base/text.h"

namespace attune::drift {

std::string DueReason(const WindowRecord& open, const v1::WindowSpec& spec, TimePoint now) {
  if (open.rows == 0) return "";
  if (open.rows >= spec.examples()) return CountOf(open.rows, "example");
  const double seconds = std::chrono::duration<double>(now - open.opened).count();
  if (seconds < spec.seconds() || open.rows < spec.examples_min()) return "";
  return "open for " + std::to_string(static_cast<int64_t>(seconds)) + " s with " +
         CountOf(open.rows, "example");
}

void MarkFull(WindowRecord* window, TimePoint now) {
  window->phase = Phase::kFull;
  *window->window.mutable_closed() =
      google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now));
  window->window.set_labelled(window->labelled);
  window->window.set_examples(window->rows);
  window->window.set_state("waiting");
}

double LooksPerWeek(const v1::WindowSpec& spec, uint64_t recent) {
  constexpr double kWeek = 7 * 86400.0;
  return std::max({1.0, kWeek / spec.seconds(), static_cast<double>(recent)});
}

}  // namespace attune::drift
