#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/files.h"
#include "common/spec/job_spec.h"
#include "common/spec/schedule_spec.h"
#include "common/spec/stream_spec.h"

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

Result<std::string> ReadText(const std::filesystem::path& path) {
  return ReadFile(path);
}

TEST(Configs, EveryStreamScheduleAndTheLoopParse) {
  for (const char* stream : {"configs/streams/live-docs.yaml", "configs/loop/stream.yaml"}) {
    auto spec = ParseStreamSpec(*ReadFile(stream), stream);
    EXPECT_TRUE(spec.ok()) << spec.status().message();
  }
  for (const char* schedule : {"configs/schedules/docstrings.yaml", "configs/loop/schedule.yaml"}) {
    auto spec = ParseScheduleSpec(*ReadFile(schedule), schedule, ReadText);
    EXPECT_TRUE(spec.ok()) << spec.status().message();
  }
  // What is copied trains as long as its data asks for.
  const char* example = "configs/schedules/docstrings.yaml";
  EXPECT_EQ(ParseScheduleSpec(*ReadFile(example), example, ReadText)->job().train().max_steps(),
            0u);
  auto job = ParseJobSpec(*ReadFile("configs/loop/champion.yaml"), "configs/loop/champion.yaml");
  EXPECT_TRUE(job.ok()) << job.status().message();
}

}  // namespace
}  // namespace attune::spec
