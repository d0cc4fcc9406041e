#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "common/rpc/rpc.h"
#include "coordinator/api/dataset_service.h"
#include "coordinator/api/model_service.h"
#include "coordinator/models/schema.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ServicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.RegisterService(&dataset_service_);
    builder.RegisterService(&model_service_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
    datasets_ = v1::DatasetService::NewStub(channel_);
    models_ = v1::ModelService::NewStub(channel_);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }
  void TearDown() override { server_->Shutdown(); }

  void WriteHeader() {
    v1::ImportDatasetRequest request;
    request.mutable_header()->set_name("docs");
    writer_ = datasets_->ImportDataset(&context_, &answer_);
    writer_->Write(request);
  }
  void WriteChunk(const std::string& data) {
    v1::ImportDatasetRequest request;
    request.mutable_chunk()->set_file("a.jsonl");
    request.mutable_chunk()->set_data(data);
    writer_->Write(request);
  }
  Status FinishWithEnd(uint64_t bytes) {
    v1::ImportDatasetRequest request;
    request.mutable_end()->set_bytes(bytes);
    writer_->Write(request);
    return FinishNow();
  }
  Status FinishNow() {
    writer_->WritesDone();
    return rpc::FromGrpc(writer_->Finish());
  }

  TemporaryStorage storage_{models::Migrations()};
  datasets::Catalog catalog_{storage_.database(), storage_.path()};
  models::Registry registry_{storage_.database(), storage_.path()};
  security::RunTokens run_tokens_;
  Authenticator authenticator_{"", "", &run_tokens_};
  DatasetService dataset_service_{&catalog_, &authenticator_};
  ModelService model_service_{
      ModelServicePorts{&registry_, storage_.database(), &authenticator_, storage_.path(),
                        [this](const std::string& dataset) { return catalog_.Get(dataset); }}};
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  grpc::ClientContext context_;
  v1::DatasetVersion answer_;
  std::unique_ptr<grpc::ClientWriter<v1::ImportDatasetRequest>> writer_;
};

TEST_F(ServicesTest, ImportsAStream) {
  WriteHeader();
  WriteChunk("{\"text\":\"o");
  WriteChunk("ne\"}\n");
  Status status = FinishWithEnd(15);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(answer_.version(), 1u);
  EXPECT_EQ(answer_.examples().at("train"), 1u);
}

TEST_F(ServicesTest, AStreamWithoutItsEndImportsNothing) {
  WriteHeader();
  WriteChunk("{\"text\":\"one\"}\n");
  EXPECT_EQ(FinishNow().code(), StatusCode::kCancelled);
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
}

TEST_F(ServicesTest, MissingBytesAreSeen) {
  WriteHeader();
  WriteChunk("{\"text\":\"one\"}\n");
  EXPECT_EQ(FinishWithEnd(16).code(), StatusCode::kDataLoss);
  EXPECT_THAT(storage_.Tree("datasets"), IsEmpty());
}

TEST_F(ServicesTest, TheHeaderComesFirst) {
  writer_ = datasets_->ImportDataset(&context_, &answer_);
  WriteChunk("{}");
  EXPECT_EQ(FinishNow().code(), StatusCode::kInvalidArgument);
}

TEST_F(ServicesTest, ModelErrorsNameTheField) {
  v1::ImportModelRequest request;
  request.set_name("Bad Name");
  request.set_path("/absent");
  v1::ModelVersion version;
  Status status = rpc::FromGrpc(models_->ImportModel(&context_, request, &version));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "name");
  EXPECT_THAT(status.message(), HasSubstr("\"Bad Name\" is not a model name"));
}

TEST_F(ServicesTest, AModelImportSaysHowFarItIs) {
  const std::filesystem::path folder = storage_.path() / "tiny";
  ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
  v1::ImportModelRequest request;
  request.set_name("tiny");
  request.set_path(folder);
  auto reader = models_->ImportModelWithProgress(&context_, request);
  std::map<std::string, uint64_t> done;
  v1::ImportModelProgress progress;
  v1::ModelVersion version;
  while (reader->Read(&progress)) {
    EXPECT_EQ(version.version(), 0u) << "it comes last";
    if (progress.has_version()) version = progress.version();
    if (progress.has_version()) continue;
    EXPECT_GE(progress.done(), done[progress.phase()]) << progress.phase();
    EXPECT_LE(progress.done(), progress.total());
    done[progress.phase()] = progress.done();
  }
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_EQ(version.version(), 1u);
  EXPECT_EQ(done["copying"], version.bytes());
  EXPECT_EQ(done["checking"], version.bytes());
}

TEST_F(ServicesTest, AModelImportWhoseCallerGoesLeavesNothing) {
  const std::filesystem::path folder = storage_.path() / "tiny";
  ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
  v1::ImportModelRequest request;
  request.set_name("tiny");
  request.set_path(folder);
  const auto gone = [](const char* phase, uint64_t, uint64_t) {
    return std::string_view(phase) == "checking" ? Cancelled("gone") : Status();
  };
  EXPECT_EQ(registry_.Import(request, gone).status().code(), StatusCode::kCancelled);
  EXPECT_THAT(storage_.Tree("models"), IsEmpty());
  EXPECT_TRUE(registry_.Import(request).ok());
}

}  // namespace
}  // namespace attune
