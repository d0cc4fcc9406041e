#include "common/base/crash.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace attune {
namespace {

// A sanitizer writes its own report.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr char kReport[] = "SEGV|signal 11";
#else
constexpr char kReport[] = "trial: SIGSEGV at address 0x.* in thread .*its stack";
#endif

TEST(ReportCrashesDeathTest, NamesSignalAndStackAndDiesBySignal) {
  EXPECT_DEATH(
      {
        ReportCrashes("trial");
        raise(SIGSEGV);
      },
      kReport);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
  EXPECT_EXIT(
      {
        ReportCrashes("trial");
        raise(SIGBUS);
      },
      ::testing::KilledBySignal(SIGBUS), "trial: SIGBUS");
#endif
}

}  // namespace
}  // namespace attune
