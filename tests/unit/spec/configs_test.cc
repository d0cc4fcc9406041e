#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/files.h"
#include "common/spec/job_spec.h"

namespace attune::spec {
namespace {

TEST(Configs, EveryJobParses) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("configs/jobs")) {
    auto text = ReadFile(entry.path());
    ASSERT_TRUE(text.ok());
    auto spec = ParseJobSpec(*text, entry.path());
    EXPECT_TRUE(spec.ok()) << spec.status().message();
    ++count;
  }
  EXPECT_GE(count, 4);
}

}  // namespace
}  // namespace attune::spec
