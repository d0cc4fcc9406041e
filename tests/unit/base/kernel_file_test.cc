#include "common/base/kernel_file.h"

#include <gtest/gtest.h>

namespace attune {
namespace {

TEST(KernelBytes, FindsTheFieldInBytes) {
  const char* text = "MemTotal:       16303428 kB\nMemFree:  1 kB\nMemAvailable:   12000000 kB\n";
  EXPECT_EQ(KernelBytes(text, "MemTotal"), 16303428ull * 1024);
  EXPECT_EQ(KernelBytes(text, "MemAvailable"), 12000000ull * 1024);
  EXPECT_EQ(KernelBytes(text, "Mem"), 0u);
  EXPECT_EQ(KernelBytes("MemTotal: many kB\n", "MemTotal"), 0u);
}

TEST(ReadKernelFile, IsEmptyWhereThereIsNone) {
  EXPECT_GT(KernelBytes(ReadKernelFile("/proc/self/status"), "VmHWM"), 0u);
  EXPECT_EQ(ReadKernelFile("/absent"), "");
}

}  // namespace
}  // namespace attune
