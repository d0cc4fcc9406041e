// Aliases, gate reports and cards over gRPC, with users of different roles.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "common/base/hash.h"
#include "common/rpc/rpc.h"
#include "coordinator/api/model_service.h"
#include "coordinator/models/gate_reports.h"
#include "coordinator/models/schema.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune {
namespace {

using ::testing::HasSubstr;
using Stub = v1::ModelService::Stub;

class AliasServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    models_ = v1::ModelService::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
    const std::filesystem::path folder = storage_.path() / "in/tiny";
    ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
    for (int version = 1; version <= 2; ++version) {
      v1::ImportModelRequest request;
      request.set_name("tiny");
      request.set_path(folder);
      ASSERT_TRUE(registry_.Import(request).ok());
    }
  }
  void TearDown() override { server_->Shutdown(); }

  std::unique_ptr<grpc::ClientContext> As(const std::string& token) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    rpc::AddToken(token, context.get());
    return context;
  }
  template <typename Request, typename Response>
  Status Call(const std::string& token,
              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response* response) {
    return rpc::FromGrpc(((*models_).*method)(As(token).get(), request, response));
  }
  Status Promote(const std::string& token, const std::string& model, v1::Alias* alias,
                 const std::string& id = "") {
    v1::SetAliasRequest request;
    request.set_request_id(id);
    request.set_model(model);
    request.set_alias("champion");
    request.set_reason("better");
    return Call(token, &Stub::SetAlias, request, alias);
  }

  static constexpr char kAlice[] = "alice-0123456789ab", kBob[] = "bob-0123456789abcd";
  TemporaryStorage storage_{models::Migrations()};
  models::Registry registry_{storage_.database(), storage_.path()};
  security::RunTokens run_tokens_;
  Authenticator authenticator_{
      *security::MakeUsers("", {{"alice", kAlice, {security::kPromoter}}, {"bob", kBob, {}}}), "",
      &run_tokens_};
  ModelService service_{ModelServicePorts{
      &registry_, storage_.database(), &authenticator_, storage_.path(),
      [](const std::string&) -> Result<v1::DatasetVersion> { return NotFound("none"); }}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Stub> models_;
};

TEST_F(AliasServiceTest, APromotersNameIsInTheHistory) {
  v1::Alias alias;
  Status promoted = Promote(kAlice, "tiny@1", &alias);
  ASSERT_TRUE(promoted.ok()) << promoted.ToString();
  EXPECT_EQ(alias.last().actor(), "user:alice");
  v1::GetModelRequest get;
  get.set_name("tiny@champion");
  v1::ModelVersion version;
  ASSERT_TRUE(Call(kBob, &Stub::GetModel, get, &version).ok());
  EXPECT_EQ(version.version(), 1u);
  ASSERT_EQ(version.aliases_size(), 1);
  EXPECT_EQ(version.aliases(0), "champion");
  v1::ListModelsRequest list;
  list.set_all_versions(true);
  v1::ListModelsResponse listed;
  ASSERT_TRUE(Call(kBob, &Stub::ListModels, list, &listed).ok());
  EXPECT_EQ(listed.models(0).aliases_size(), 0);
  EXPECT_EQ(listed.models(1).aliases(0), "champion");
}

TEST_F(AliasServiceTest, OthersAreToldWhoMay) {
  v1::Alias alias;
  const Status denied = Promote(kBob, "tiny@1", &alias);
  EXPECT_EQ(denied.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(denied.message(), HasSubstr("\"bob\" does not have the role \"promoter\""));
  EXPECT_THAT(denied.message(), HasSubstr("alice has"));
  v1::RollBackAliasRequest back;
  EXPECT_EQ(Call(kBob, &Stub::RollBackAlias, back, &alias).code(), StatusCode::kPermissionDenied);
  v1::DeleteAliasResponse deleted;
  EXPECT_EQ(Call(kBob, &Stub::DeleteAlias, v1::DeleteAliasRequest(), &deleted).code(),
            StatusCode::kPermissionDenied);
  v1::PruneModelsRequest prune;
  prune.set_dry_run(true);
  v1::PruneModelsResponse pruned;
  EXPECT_EQ(Call(kBob, &Stub::PruneModels, prune, &pruned).code(), StatusCode::kPermissionDenied);
  v1::ListAliasesResponse aliases;
  EXPECT_TRUE(Call(kBob, &Stub::ListAliases, v1::ListAliasesRequest(), &aliases).ok());
  EXPECT_EQ(aliases.aliases_size(), 0);
  EXPECT_EQ(Call("", &Stub::ListAliases, v1::ListAliasesRequest(), &aliases).code(),
            StatusCode::kUnauthenticated);
}

TEST_F(AliasServiceTest, TheSameRequestAgainIsOneMove) {
  v1::Alias first, again;
  ASSERT_TRUE(Promote(kAlice, "tiny@1", &first, "r1").ok());
  ASSERT_TRUE(Promote(kAlice, "tiny@2", &again, "r2").ok());
  ASSERT_TRUE(Promote(kAlice, "tiny@1", &again, "r1").ok());
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Promote(kAlice, "tiny@2", &again, "r1").code(), StatusCode::kAlreadyExists);
  v1::ListAliasMovesResponse moves;
  ASSERT_TRUE(Call(kBob, &Stub::ListAliasMoves, v1::ListAliasMovesRequest(), &moves).ok());
  EXPECT_EQ(moves.moves_size(), 2);
  EXPECT_EQ(registry_.Get("tiny@champion")->version(), 2u);

  v1::RollBackAliasRequest back;
  back.set_request_id("r3");
  back.set_model("tiny");
  back.set_alias("champion");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Call(kAlice, &Stub::RollBackAlias, back, &again).ok());
    EXPECT_EQ(again.version(), 1u);
  }
  v1::DeleteAliasRequest remove;
  remove.set_request_id("r4");
  remove.set_model("tiny");
  remove.set_alias("champion");
  v1::DeleteAliasResponse deleted;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(Call(kAlice, &Stub::DeleteAlias, remove, &deleted).ok());
  EXPECT_EQ(registry_.Get("tiny@champion").status().code(), StatusCode::kNotFound);
}

TEST_F(AliasServiceTest, BadRequestsNameTheField) {
  v1::Alias alias;
  const Status bare = Promote(kAlice, "tiny", &alias);
  EXPECT_EQ(bare.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(bare.field(), "model");
  EXPECT_THAT(bare.message(), HasSubstr("the newest is tiny@2"));
  EXPECT_EQ(Promote(kAlice, "tiny@9", &alias).code(), StatusCode::kNotFound);
  EXPECT_EQ(Promote(kAlice, "absent@1", &alias).code(), StatusCode::kNotFound);
  v1::SetAliasRequest request;
  request.set_model("tiny@1");
  request.set_alias("2");
  EXPECT_EQ(Call(kAlice, &Stub::SetAlias, request, &alias).field(), "alias");
  v1::ListAliasesRequest list;
  list.set_model("absent");
  v1::ListAliasesResponse aliases;
  EXPECT_EQ(Call(kBob, &Stub::ListAliases, list, &aliases).code(), StatusCode::kNotFound);
}

TEST_F(AliasServiceTest, TheHistoryHasPages) {
  v1::Alias alias;
  for (const char* model : {"tiny@1", "tiny@2", "tiny@1"})
    ASSERT_TRUE(Promote(kAlice, model, &alias).ok());
  v1::ListAliasMovesRequest request;
  request.set_model("tiny");
  request.set_page_size(2);
  v1::ListAliasMovesResponse page;
  ASSERT_TRUE(Call(kBob, &Stub::ListAliasMoves, request, &page).ok());
  EXPECT_EQ(page.moves_size(), 2);
  EXPECT_TRUE(page.more());
  request.set_before(page.moves(1).sequence());
  ASSERT_TRUE(Call(kBob, &Stub::ListAliasMoves, request, &page).ok());
  EXPECT_EQ(page.moves_size(), 1);
  EXPECT_FALSE(page.more());
  EXPECT_EQ(page.moves(0).from_version(), 0u);
}

TEST_F(AliasServiceTest, ACardIsWrittenOfWhatIsRecorded) {
  v1::Alias alias;
  ASSERT_TRUE(Promote(kAlice, "tiny@1", &alias).ok());
  v1::GetModelCardRequest request;
  request.set_model("tiny@champion");
  v1::ModelCard card;
  ASSERT_TRUE(Call(kBob, &Stub::GetModelCard, request, &card).ok());
  EXPECT_THAT(card.markdown(), HasSubstr("# tiny@1\n"));
  EXPECT_THAT(card.markdown(), HasSubstr("| champion | set | - | 1 | user:alice | better |  |"));
  request.set_model("absent");
  EXPECT_EQ(Call(kBob, &Stub::GetModelCard, request, &card).code(), StatusCode::kNotFound);
}

class GateFactsTest : public AliasServiceTest {
 protected:
  void Save(const std::string& path, const std::string& checksum) {
    v1::GateReport report;
    report.set_candidate("tiny@2");
    report.set_summary("good enough");
    report.set_facts_path(path);
    report.set_facts_checksum(checksum);
    ASSERT_TRUE(storage_.database()
                    ->Write([&](Transaction& transaction) {
                      models::SaveGateReport(transaction, report);
                      return Status();
                    })
                    .ok());
  }
  Status ReadFacts(std::string* facts) {
    v1::GetGateReportRequest request;
    request.set_model("tiny@2");
    auto context = As(kBob);
    auto reader = models_->ReadGateFacts(context.get(), request);
    v1::GateFactsChunk chunk;
    while (reader->Read(&chunk)) *facts += chunk.data();
    return rpc::FromGrpc(reader->Finish());
  }
};

TEST_F(GateFactsTest, AreReadWhole) {
  const std::string content(2'500'000, 'f');
  Save(storage_.Write("gates/update-1.facts", content), Sha256Hex(content));
  std::string facts;
  const Status read = ReadFacts(&facts);
  ASSERT_TRUE(read.ok()) << read.ToString();
  EXPECT_EQ(facts, content);
  v1::GetGateReportRequest request;
  request.set_model("tiny@2");
  v1::GateReport report;
  ASSERT_TRUE(Call(kBob, &Stub::GetGateReport, request, &report).ok());
  EXPECT_EQ(report.summary(), "good enough");
  request.set_model("tiny@1");
  const Status none = Call(kBob, &Stub::GetGateReport, request, &report);
  EXPECT_EQ(none.code(), StatusCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("no gates have decided on tiny@1"));
  EXPECT_THAT(Call("", &Stub::GetGateReport, request, &report).message(), HasSubstr("token"));
}

TEST_F(GateFactsTest, ThatAreOthersAreSeen) {
  Save(storage_.Write("gates/update-1.facts", "mended"), Sha256Hex("decided by"));
  std::string facts;
  EXPECT_EQ(ReadFacts(&facts).code(), StatusCode::kDataLoss);
}

TEST_F(GateFactsTest, LieBelowTheirFolder) {
  const std::string secret = storage_.Write("secret", "token");
  storage_.Write("gates/a", "");
  std::filesystem::create_symlink(secret, storage_.path() / "gates/link");
  for (const std::string& path :
       {secret, storage_.path().string() + "/gates/../secret", std::string("gates/link"),
        std::string("/etc/passwd"), storage_.path().string() + "/gates"}) {
    Save(path, Sha256Hex("token"));
    std::string facts;
    EXPECT_EQ(ReadFacts(&facts).code(), StatusCode::kFailedPrecondition) << path;
    EXPECT_EQ(facts, "");
  }
  Save("gates/absent", "");
  std::string facts;
  EXPECT_EQ(ReadFacts(&facts).code(), StatusCode::kNotFound);
  Save("gates/a", Sha256Hex(""));
  EXPECT_TRUE(ReadFacts(&facts).ok()) << "a path from the storage's root";
}

}  // namespace
}  // namespace attune
