// attune doctor --parity with the real trainer. It needs no cluster.

#include <gmock/gmock.h>

#include <set>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

using ::testing::HasSubstr;

constexpr seconds kProofPatience{400};

TEST(ParityTest, AnUpdateIsTheSameOnThisMachine) {
  Cluster cluster;
  const Finished proof = cluster.Attune({"doctor", "--parity", "-o", "json"}, kProofPatience);
  ASSERT_EQ(proof.exit_code, 0) << proof.out << proof.err;
  const Json report = Json::parse(proof.out);
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["rows"].size(), 72u);
  EXPECT_GT(report["largest"]["gradient_difference"], 0.0);
  EXPECT_LE(report["largest"]["gradient_difference"], 1e-5);
  EXPECT_LE(report["largest"]["adamw_difference"], 1e-5);
  std::set<std::string> ways;
  for (const Json& row : report["rows"]) {
    ways.insert(row["method"].get<std::string>() + " " + row["world_size"].dump() + " " +
                row["micro_batch"].dump() + " " + row["packing"].dump() + " " +
                row["activation_checkpointing"].dump());
  }
  EXPECT_EQ(ways.size(), 72u) << "every way once";
  EXPECT_THAT(proof.err, HasSubstr("updates compared"));
}

TEST(ParityTest, AModelThatIsNotThereIsSaidSo) {
  Cluster cluster;
  const Finished proof = cluster.Attune({"doctor", "--parity", "--model", "/nonexistent/model"});
  EXPECT_EQ(proof.exit_code, 1);
  EXPECT_THAT(proof.err, HasSubstr("/nonexistent/model"));
}

}  // namespace
}  // namespace attune::cluster
