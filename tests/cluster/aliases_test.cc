// Aliases of models while the coordinator is killed, and what pruning leaves for jobs and
// rollbacks.

#include <gmock/gmock.h>

#include "attune/v1/models.grpc.pb.h"
#include "common/rpc/rpc.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kConflict = 5;

class AliasesTest : public ::testing::Test {
 protected:
  // tiny@1 to tiny@3.
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
    const std::string folder = cluster_.home() / "in/tiny";
    for (int more = 0; more < 2; ++more) {
      Finished imported = cluster_.Attune({"model", "import", "tiny", folder});
      ASSERT_EQ(imported.exit_code, 0) << imported.err;
    }
  }

  void Succeeds(const std::vector<std::string>& arguments) {
    Finished finished = cluster_.Attune(arguments);
    EXPECT_EQ(finished.exit_code, 0) << arguments[1] << ": " << finished.err;
  }
  size_t Moves() { return cluster_.AttuneJson({"model", "history", "tiny"}).size(); }
  int Champion() { return cluster_.AttuneJson({"model", "show", "tiny@champion"})["version"]; }

  // Starts a command that waits for the coordinator, and what it prints, at its end.
  void StartAttune(std::vector<std::string> arguments, const std::string& log) {
    arguments.insert(arguments.begin(), std::string(ATTUNE_BIN_DIR) + "/attune");
    arguments.insert(arguments.end(), {"--timeout", "100s", "-o", "json"});
    Start(arguments, {{"HOME", cluster_.home()}, {"ATTUNE_HOME", cluster_.home()}},
          cluster_.home() / log);
  }
  Json Printed(const std::string& log) {
    Json json;
    EXPECT_TRUE(Eventually([&] {
      const std::string text = cluster_.Read(log);
      json = Json::parse(text.substr(std::min(text.find('{'), text.size())), nullptr, false);
      return json.is_object();
    })) << cluster_.Read(log);
    return json;
  }

  Result<v1::Alias> Promote(const std::string& request_id, const std::string& model) {
    Json state = Json::parse(cluster_.Read("storage/state/coordinator.json"), nullptr, false);
    rpc::Endpoint endpoint;
    endpoint.address = state.is_object() ? state.value("address", "") : "";
    auto channel = rpc::Connect(endpoint);
    if (!channel.ok()) return channel.status();
    v1::SetAliasRequest request;
    request.set_request_id(request_id);
    request.set_model(model);
    request.set_alias("champion");
    v1::Alias alias;
    Status status = rpc::FromGrpc(v1::ModelService::NewStub(*channel)->SetAlias(
        rpc::NewContext(endpoint, kPatience).get(), request, &alias));
    if (!status.ok()) return status;
    return alias;
  }

  void KillCoordinator() { cluster_.Kill(cluster_.Pid("coordinator")); }

  Cluster cluster_;
};

TEST_F(AliasesTest, WhatWasAnsweredIsKeptAndAnsweredAgain) {
  const Result<v1::Alias> first = Promote("r1", "tiny@1");
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  KillCoordinator();
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  EXPECT_EQ(Champion(), 1);
  Result<v1::Alias> again = Promote("r1", "tiny@1");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());
  ASSERT_TRUE(Promote("r2", "tiny@2").ok());
  again = Promote("r1", "tiny@1");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(Champion(), 2);
  EXPECT_EQ(Moves(), 2u);
}

// Whether the kill comes before, in or after the transaction, the promotion happens once.
TEST_F(AliasesTest, AKillAroundAPromotionNeitherLosesNorDoublesIt) {
  const std::vector<std::string> models = {"tiny@1", "tiny@2", "tiny@3", "tiny@1"};
  for (size_t i = 0; i < models.size(); ++i) {
    const std::string log = "promote-" + std::to_string(i) + ".json";
    if (i == 0) KillCoordinator();
    StartAttune({"model", "promote", models[i]}, log);
    if (i > 0) KillCoordinator();
    ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
    EXPECT_EQ(Printed(log)["version"], models[i].back() - '0');
    EXPECT_EQ(Champion(), models[i].back() - '0');
    EXPECT_EQ(Moves(), i + 1);
  }
  EXPECT_EQ(cluster_.AttuneJson({"model", "rollback", "tiny"})["version"], 3);
}

TEST_F(AliasesTest, PruningLeavesWhatRollbackNeeds) {
  Succeeds({"model", "promote", "tiny@1"});
  Succeeds({"model", "promote", "tiny@3"});
  StartAttune({"model", "prune", "tiny", "--keep", "1"}, "prune.json");
  KillCoordinator();
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  Succeeds({"model", "prune", "tiny", "--keep", "1"});
  EXPECT_TRUE(Eventually([&] { return !fs::exists(cluster_.storage() / "models/tiny/2"); }));
  EXPECT_EQ(cluster_.AttuneJson({"model", "show", "tiny@2"})["files_removed"], true);

  EXPECT_EQ(cluster_.AttuneJson({"model", "rollback", "tiny"})["version"], 1);
  const std::vector<std::string> generate = {"--prompt", "x", "--max-tokens", "2"};
  for (const auto& [model, code] :
       {std::make_pair("tiny@champion", 0), std::make_pair("tiny@2", kConflict)}) {
    std::vector<std::string> arguments = {"model", "generate", model};
    arguments.insert(arguments.end(), generate.begin(), generate.end());
    Finished finished = cluster_.Attune(arguments);
    EXPECT_EQ(finished.exit_code, code) << finished.err;
    if (code != 0) EXPECT_THAT(finished.err, HasSubstr("the files of tiny@2 were removed"));
  }
  EXPECT_EQ(cluster_.AttuneJson({"job", "list", "--all"})[0]["base"], "tiny@1")
      << "a job keeps the version that it found";
}

}  // namespace
}  // namespace attune::cluster
