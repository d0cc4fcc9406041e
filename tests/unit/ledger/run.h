#pragma once

// A run in a folder: 5 examples in 3 steps an epoch, 5 steps in all, so that the second epoch is
// cut short.

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "common/ledger/compare.h"
#include "tests/support/temporary_folder.h"

namespace attune::ledger {

inline const std::string kDigest(64, 'a');
// The step of each example, by epoch.
inline const std::vector<std::vector<uint32_t>> kSteps = {{1, 1, 2, 3, 2}, {5, 4, 0, 4, 0}};

inline std::array<uint8_t, kIdBytes> IdOf(uint64_t example) {
  std::array<uint8_t, kIdBytes> id{};
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(example * 17 + i);
  return id;
}

inline ExampleSum SumOf(const std::vector<uint64_t>& examples) {
  ExampleSum sum;
  for (const uint64_t example : examples) sum.Add(IdOf(example));
  return sum;
}

// What step s, from 1, was to have.
inline ExampleSum Planned(uint32_t s) {
  std::vector<uint64_t> examples;
  for (const auto& epoch : kSteps) {
    for (size_t i = 0; i < epoch.size(); ++i) {
      if (epoch[i] == s) examples.push_back(i);
    }
  }
  return SumOf(examples);
}

inline Status WritePlan(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(PlanFileWriter writer, PlanFileWriter::Create(file, {5, 3, 5, kDigest}));
  for (uint64_t i = 0; i < 5; ++i) ATTUNE_RETURN_IF_ERROR(writer.AddId(IdOf(i)));
  for (const auto& steps : kSteps) ATTUNE_RETURN_IF_ERROR(writer.AddSteps(steps));
  return writer.Commit();
}

class RunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WritePlan(folder_.path() / "plan").ok());
    auto plan = PlanFile::Open(folder_.path() / "plan");
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    plan_.emplace(*std::move(plan));
  }

  TemporaryFolder folder_;
  std::optional<PlanFile> plan_;
};

// An attempt that applied steps as planned.
inline StepLog LogOf(uint32_t generation, uint32_t resumed_step, uint32_t resumed_generation,
                     const std::vector<uint32_t>& steps, uint32_t ranks = 2) {
  StepLog log{{generation, ranks, resumed_step, resumed_generation, kDigest}, {}};
  for (const uint32_t step : steps) log.steps.push_back({step, Planned(step)});
  return log;
}

}  // namespace attune::ledger
