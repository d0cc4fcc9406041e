#include <gmock/gmock.h>

#include <fstream>

#include "coordinator/models/alias_requests.h"
#include "coordinator/models/registry.h"
#include "coordinator/models/schema.h"
#include "coordinator/store/events.h"
#include "coordinator/versions/table.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune::models {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class PruneTest : public ::testing::Test {
 protected:
  // tiny@1 to tiny@4.
  void SetUp() override {
    const fs::path folder = storage_.path() / "in/tiny";
    ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
    for (int version = 1; version <= 4; ++version) {
      v1::ImportModelRequest request;
      request.set_name("tiny");
      request.set_path(folder);
      ASSERT_TRUE(registry_.Import(request).ok());
    }
  }

  static v1::PruneModelsRequest Request(uint32_t keep, const std::string& id = "") {
    v1::PruneModelsRequest request;
    request.set_request_id(id);
    request.set_model("tiny");
    request.set_keep(keep);
    return request;
  }
  // What went, by name.
  static std::vector<std::string> Gone(const Result<v1::PruneModelsResponse>& response) {
    EXPECT_TRUE(response.ok()) << response.status().ToString();
    std::vector<std::string> gone;
    for (const auto& item : response->items()) {
      if (item.kept_for().empty()) gone.push_back(item.model());
    }
    return gone;
  }
  std::set<std::string> Folders() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(storage_.path() / "models/tiny")) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  Result<v1::Alias> Promote(const std::string& model) {
    v1::SetAliasRequest request;
    request.set_model(model);
    request.set_alias("champion");
    return SetAlias(storage_.database(), request, "user:alice");
  }
  size_t Listed(bool all_versions) {
    v1::ListModelsRequest request;
    request.set_all_versions(all_versions);
    return static_cast<size_t>(registry_.List(request)->models_size());
  }

  TemporaryStorage storage_{Migrations()};
  std::map<std::string, std::string> in_use_;
  Registry registry_{
      storage_.database(), storage_.path(), {[this](Transaction&) { return in_use_; }}};
};

TEST_F(PruneTest, FilesGoAndWhatIsKnownStays) {
  v1::PruneModelsRequest dry = Request(2);
  dry.set_dry_run(true);
  const Result<v1::PruneModelsResponse> would = registry_.Prune(dry, "user:alice");
  EXPECT_THAT(Gone(would), ElementsAre("tiny@2", "tiny@1"));
  EXPECT_EQ(Folders().size(), 4u);
  const Result<v1::PruneModelsResponse> pruned = registry_.Prune(Request(2), "user:alice");
  EXPECT_THAT(Gone(pruned), ElementsAre("tiny@2", "tiny@1"));
  EXPECT_EQ(pruned->bytes_freed(), 2 * registry_.Get("tiny@1")->bytes());
  EXPECT_EQ(pruned->SerializeAsString(), would->SerializeAsString());
  EXPECT_THAT(Folders(), UnorderedElementsAre("3", "4"));

  const v1::ModelVersion gone = *registry_.Get("tiny@1");
  EXPECT_TRUE(gone.files_removed());
  EXPECT_NE(gone.lineage().source(), "");
  EXPECT_FALSE(registry_.Get("tiny@3")->files_removed());
  EXPECT_EQ(Listed(true), 4u);
  EXPECT_THAT(Promote("tiny@1").status().message(), HasSubstr("were removed"));
  EXPECT_EQ(CheckHasFiles(gone).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(CheckHasFiles(*registry_.Get("tiny")).ok());
  EXPECT_THAT(Gone(registry_.Prune(Request(2), "user:alice")), ElementsAre());
  std::vector<Event> events;
  ASSERT_TRUE(storage_.database()
                  ->Read([&](Transaction& transaction) {
                    events = ReadEvents(transaction, "model", "tiny@1", 0, 10);
                    return Status();
                  })
                  .ok());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].type, "pruned");
  EXPECT_EQ(events[1].message, "files removed by user:alice");
}

TEST_F(PruneTest, WhatACandidateWasDecidedByGoesWithIt) {
  const fs::path gates = storage_.path() / "gates";
  fs::create_directories(gates);
  for (uint32_t version : {1u, 4u}) {
    const std::string update = "update-" + std::to_string(version);
    std::ofstream(gates / (update + ".facts")) << "facts";
    ASSERT_TRUE(storage_.database()
                    ->Write([&](Transaction& transaction) -> Status {
                      const versions::Table table("model");
                      ATTUNE_ASSIGN_OR_RETURN(std::string record,
                                              table.Find(transaction, {"tiny", version}));
                      v1::ModelVersion changed;
                      EXPECT_TRUE(changed.ParseFromString(record));
                      changed.mutable_lineage()->set_update(update);
                      table.Update(transaction, "tiny", version, changed.SerializeAsString());
                      return Status();
                    })
                    .ok());
  }
  ASSERT_TRUE(registry_.Prune(Request(2), "user:alice").ok());
  EXPECT_FALSE(fs::exists(gates / "update-1.facts"));
  EXPECT_TRUE(fs::exists(gates / "update-4.facts"));
}

TEST_F(PruneTest, WhatRollbackNeedsStays) {
  for (const char* model : {"tiny@1", "tiny@3"}) ASSERT_TRUE(Promote(model).ok());
  EXPECT_THAT(Gone(registry_.Prune(Request(1), "user:alice")), ElementsAre("tiny@2"));
  v1::RollBackAliasRequest back;
  back.set_model("tiny");
  back.set_alias("champion");
  EXPECT_EQ(RollBackAlias(storage_.database(), back, "user:alice")->version(), 1u);
  EXPECT_TRUE(fs::exists(registry_.Get("tiny@champion")->path()));
}

TEST_F(PruneTest, AWayBackThatWasGivenUpIsRefused) {
  for (const char* model : {"tiny@1", "tiny@3"}) ASSERT_TRUE(Promote(model).ok());
  v1::PruneModelsRequest request = Request(1);
  request.set_rollback_steps(0);
  EXPECT_THAT(Gone(registry_.Prune(request, "user:alice")), ElementsAre("tiny@2", "tiny@1"));
  v1::RollBackAliasRequest back;
  back.set_model("tiny");
  back.set_alias("champion");
  const Status refused = RollBackAlias(storage_.database(), back, "user:alice").status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("the files of tiny@1 were removed"));
}

TEST_F(PruneTest, WhatIsInUseStays) {
  in_use_ = {{"tiny@2", "job-1 is RUNNING"}};
  const Result<v1::PruneModelsResponse> pruned = registry_.Prune(Request(1), "user:alice");
  EXPECT_THAT(Gone(pruned), ElementsAre("tiny@3", "tiny@1"));
  EXPECT_EQ(pruned->items(2).kept_for(), "job-1 is RUNNING");
}

TEST_F(PruneTest, TheSameRequestAgainRemovesNothingMore) {
  in_use_ = {{"tiny@2", "job-1 is RUNNING"}};
  const auto first = registry_.Prune(Request(1, "r1"), "user:alice");
  in_use_.clear();
  const auto again = registry_.Prune(Request(1, "r1"), "user:alice");
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());
  EXPECT_THAT(Folders(), UnorderedElementsAre("2", "4"));
  EXPECT_EQ(registry_.Prune(Request(2, "r1"), "user:alice").status().code(),
            StatusCode::kAlreadyExists);
}

// As after kill -9 between the commit and the removal.
TEST_F(PruneTest, AStartRemovesWhatWasLeft) {
  const fs::path kept = storage_.path() / "kept";
  fs::copy(storage_.path() / "models/tiny/1", kept, fs::copy_options::recursive);
  ASSERT_TRUE(registry_.Prune(Request(1), "user:alice").ok());
  fs::rename(kept, storage_.path() / "models/tiny/1");
  storage_.Reopen();
  Registry restarted(storage_.database(), storage_.path());
  ASSERT_TRUE(restarted.Reconcile().ok());
  EXPECT_THAT(Folders(), UnorderedElementsAre("4"));
  EXPECT_TRUE(restarted.Get("tiny@1")->files_removed());
}

// A job's output that was never moved is removed where it is; it does not move afterwards.
TEST_F(PruneTest, AnOutputThatWaitsForItsPlaceIsRemoved) {
  const fs::path output = storage_.path() / "runs/job-1/output";
  ASSERT_TRUE(testing::WriteTinyLlama(output).ok());
  v1::Lineage lineage;
  lineage.set_job_id("job-1");
  const auto prepared = registry_.PrepareOutput("tiny", output, lineage, {});
  ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
  ASSERT_TRUE(storage_.database()
                  ->Write([&](Transaction& transaction) {
                    return registry_.RegisterOutput(transaction, *prepared).status();
                  })
                  .ok());
  v1::ImportModelRequest newer;
  newer.set_name("tiny");
  newer.set_path(storage_.path() / "in/tiny");
  ASSERT_TRUE(registry_.Import(newer).ok());
  EXPECT_THAT(Gone(registry_.Prune(Request(1), "user:alice")),
              ElementsAre("tiny@5", "tiny@4", "tiny@3", "tiny@2", "tiny@1"));
  EXPECT_FALSE(fs::exists(output));
  ASSERT_TRUE(registry_.Reconcile().ok());
  EXPECT_THAT(Folders(), UnorderedElementsAre("6"));
  EXPECT_TRUE(fs::exists(storage_.path() / "in/tiny/config.json"))
      << "what was imported is not ours";
}

TEST_F(PruneTest, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(registry_.Prune(Request(0), "user:alice").status().field(), "keep");
  v1::PruneModelsRequest request = Request(1);
  request.set_model("tiny@1");
  EXPECT_EQ(registry_.Prune(request, "user:alice").status().field(), "model");
  request.set_model("absent");
  EXPECT_EQ(registry_.Prune(request, "user:alice").status().code(), StatusCode::kNotFound);
  request.set_model("../tiny");
  EXPECT_EQ(registry_.Prune(request, "user:alice").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Folders().size(), 4u);
}

}  // namespace
}  // namespace attune::models
