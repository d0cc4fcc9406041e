#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "common/rpc/rpc.h"
#include "coordinator/api/drift_service.h"
#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

using ::testing::HasSubstr;

class DriftServiceTest : public StreamTest {
 protected:
  DriftServiceTest() { Serve(""); }
  ~DriftServiceTest() override { server_->Shutdown(); }

  void Serve(const std::string& token) {
    Serve(std::make_unique<Authenticator>(token, "", &run_tokens_));
  }
  void Serve(std::unique_ptr<Authenticator> authenticator) {
    if (server_ != nullptr) server_->Shutdown();
    authenticator_ = std::move(authenticator);
    service_ =
        std::make_unique<DriftService>(monitor_.get(), observations_.get(), authenticator_.get());
    // Not in process: there a write waits for a server that has answered without reading.
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::DriftService::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                          grpc::InsecureChannelCredentials()));
  }

  static void SetDeadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }

  template <typename Request, typename Response>
  Status Call(grpc::Status (v1::DriftService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
              const Request& request, Response* response, const std::string& token = "") {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    SetDeadline(&context);
    return rpc::FromGrpc((stub_.get()->*method)(&context, request, response));
  }

  // Sends the parts in order; end: with the marker, that says so many bytes.
  Status Send(const std::string& request_id, const std::vector<std::string>& chunks,
              std::optional<uint64_t> end, v1::ObserveResponse* response) {
    grpc::ClientContext context;
    SetDeadline(&context);
    auto writer = stub_->Observe(&context, response);
    v1::ObserveRequest part;
    part.mutable_header()->set_request_id(request_id);
    part.mutable_header()->set_name("live");
    writer->Write(part);
    for (const std::string& chunk : chunks) {
      part.mutable_chunk()->set_file("rows.jsonl");
      part.mutable_chunk()->set_data(chunk);
      writer->Write(part);
    }
    if (end) {
      part.mutable_end()->set_bytes(*end);
      writer->Write(part);
    }
    writer->WritesDone();
    return rpc::FromGrpc(writer->Finish());
  }

  security::RunTokens run_tokens_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<DriftService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::DriftService::Stub> stub_;
};

TEST_F(DriftServiceTest, AStreamsLifeOverTheWire) {
  v1::ApplyStreamRequest apply;
  apply.set_request_id("apply");
  *apply.mutable_spec() = Spec();
  v1::Stream stream, again;
  ASSERT_TRUE(Call(&v1::DriftService::Stub::ApplyStream, apply, &stream).ok());
  ASSERT_TRUE(Call(&v1::DriftService::Stub::ApplyStream, apply, &again).ok());
  EXPECT_EQ(stream.SerializeAsString(), again.SerializeAsString());
  v1::ObserveResponse observed;
  const std::string rows = Rows("old", 0, 35);
  ASSERT_TRUE(
      Send("observe", {rows.substr(0, 100), rows.substr(100)}, rows.size(), &observed).ok());
  EXPECT_EQ(observed.accepted(), 35u);
  v1::ObserveResponse repeated;
  ASSERT_TRUE(Send("observe", {rows}, rows.size(), &repeated).ok());
  EXPECT_EQ(repeated.SerializeAsString(), observed.SerializeAsString());
  monitor_->Tick();

  v1::ListWindowsRequest list;
  list.set_stream("live");
  list.set_page_size(2);
  v1::ListWindowsResponse page;
  ASSERT_TRUE(Call(&v1::DriftService::Stub::ListWindows, list, &page).ok());
  ASSERT_EQ(page.windows_size(), 2);
  EXPECT_TRUE(page.more());
  EXPECT_EQ(page.windows(0).state(), "measured");
  list.set_after(2);
  ASSERT_TRUE(Call(&v1::DriftService::Stub::ListWindows, list, &page).ok());
  EXPECT_EQ(page.windows_size(), 1);
  EXPECT_FALSE(page.more());

  v1::CloseWindowRequest close;
  close.set_request_id("close");
  close.set_stream("live");
  ASSERT_TRUE(Call(&v1::DriftService::Stub::CloseWindow, close, &stream).ok());
  EXPECT_EQ(stream.windows(), 4u);
  v1::ListStreamsResponse streams;
  ASSERT_TRUE(Call(&v1::DriftService::Stub::ListStreams, v1::ListStreamsRequest(), &streams).ok());
  EXPECT_EQ(streams.streams_size(), 1);
  v1::DeleteStreamRequest remove;
  remove.set_request_id("delete");
  remove.set_name("live");
  v1::DeleteStreamResponse removed;
  ASSERT_TRUE(Call(&v1::DriftService::Stub::DeleteStream, remove, &removed).ok());
  ASSERT_TRUE(Call(&v1::DriftService::Stub::DeleteStream, remove, &removed).ok());
  v1::GetStreamRequest get;
  get.set_name("live");
  EXPECT_EQ(Call(&v1::DriftService::Stub::GetStream, get, &stream).code(), StatusCode::kNotFound);
}

TEST_F(DriftServiceTest, AStreamOfRowsThatIsCutOffTakesNothing) {
  Apply(Spec());
  v1::ObserveResponse response;
  const std::string rows = Rows("old", 0, 5);
  EXPECT_EQ(Send("", {rows}, std::nullopt, &response).code(), StatusCode::kCancelled);
  EXPECT_EQ(Send("", {rows}, rows.size() + 1, &response).code(), StatusCode::kDataLoss);
  EXPECT_EQ(Send("", {std::string((1 << 20) + 1, ' ')}, 0, &response).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Stream().observed(), 0u);
}

TEST_F(DriftServiceTest, BadAndMissing) {
  v1::ApplyStreamRequest apply;
  *apply.mutable_spec() = Spec();
  apply.mutable_spec()->set_name("No Name");
  v1::Stream stream;
  Status bad = Call(&v1::DriftService::Stub::ApplyStream, apply, &stream);
  EXPECT_EQ(bad.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(bad.field(), "spec.name");
  v1::ObserveResponse response;
  Status missing = Send("", {}, 0, &response);
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("attune drift apply"));
  v1::CloseWindowRequest close;
  close.set_stream("live");
  EXPECT_EQ(Call(&v1::DriftService::Stub::CloseWindow, close, &stream).code(),
            StatusCode::kNotFound);
}

TEST_F(DriftServiceTest, ExcludingAWindowTakesAPromoter) {
  Apply(Spec());
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  Serve(std::make_unique<Authenticator>(
      std::vector<security::User>{{"bob", "user", {security::kUser}},
                                  {"ann", "promoter", {security::kUser, security::kPromoter}}},
      "", &run_tokens_));
  v1::SetWindowExcludedRequest request;
  request.set_stream("live");
  request.set_number(1);
  request.set_excluded(true);
  v1::Window window;
  EXPECT_EQ(Call(&v1::DriftService::Stub::SetWindowExcluded, request, &window, "user").code(),
            StatusCode::kPermissionDenied);
  EXPECT_FALSE(Windows()[0].excluded());
  ASSERT_TRUE(Call(&v1::DriftService::Stub::SetWindowExcluded, request, &window, "promoter").ok());
  EXPECT_EQ(window.excluded_reason(), "by user:ann");
  EXPECT_TRUE(Windows()[0].excluded());
  request.set_number(7);
  EXPECT_EQ(Call(&v1::DriftService::Stub::SetWindowExcluded, request, &window, "promoter").code(),
            StatusCode::kNotFound);
}

TEST_F(DriftServiceTest, EveryCallWantsTheToken) {
  Apply(Spec());
  Serve("secret");
  v1::Stream stream;
  v1::GetStreamRequest get;
  get.set_name("live");
  EXPECT_EQ(Call(&v1::DriftService::Stub::GetStream, get, &stream).code(),
            StatusCode::kUnauthenticated);
  EXPECT_EQ(Call(&v1::DriftService::Stub::ApplyStream, v1::ApplyStreamRequest(), &stream).code(),
            StatusCode::kUnauthenticated);
  EXPECT_EQ(Call(&v1::DriftService::Stub::CloseWindow, v1::CloseWindowRequest(), &stream).code(),
            StatusCode::kUnauthenticated);
  v1::Window window;
  EXPECT_EQ(
      Call(&v1::DriftService::Stub::SetWindowExcluded, v1::SetWindowExcludedRequest(), &window)
          .code(),
      StatusCode::kUnauthenticated);
  v1::ListStreamsResponse streams;
  EXPECT_EQ(Call(&v1::DriftService::Stub::ListStreams, v1::ListStreamsRequest(), &streams).code(),
            StatusCode::kUnauthenticated);
  v1::ListWindowsResponse windows;
  EXPECT_EQ(Call(&v1::DriftService::Stub::ListWindows, v1::ListWindowsRequest(), &windows).code(),
            StatusCode::kUnauthenticated);
  v1::DeleteStreamResponse removed;
  EXPECT_EQ(Call(&v1::DriftService::Stub::DeleteStream, v1::DeleteStreamRequest(), &removed).code(),
            StatusCode::kUnauthenticated);
  v1::ObserveResponse response;
  EXPECT_EQ(Send("", {}, 0, &response).code(), StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace attune::drift
