// Linked into every test program: says where it crashed.

#include "common/base/crash.h"

namespace {
[[maybe_unused]] const bool kReported = [] {
  attune::ReportCrashes("test");
  return true;
}();
}  // namespace
