#include "coordinator/api/schedule_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "common/rpc/rpc.h"
#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune {
namespace {

class ScheduleServiceTest : public ::testing::Test {
 protected:
  // A shared token for users, and one of a promoter, who alone may let schedules promote.
  ScheduleServiceTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::ScheduleService::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~ScheduleServiceTest() override { server_->Shutdown(); }

  template <typename Request, typename Response>
  Status Call(grpc::Status (v1::ScheduleService::Stub::*method)(grpc::ClientContext*,
                                                                const Request&, Response*),
              const Request& request, Response* response, const std::string& token = "user") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    context.AddMetadata("authorization", "Bearer " + token);
    return rpc::FromGrpc(((*stub_).*method)(&context, request, response));
  }

  retraining::World world_;
  security::RunTokens run_tokens_;
  Authenticator authenticator_{{{"shared", "user", {security::kUser}},
                                {"ann", "promoter", {security::kUser, security::kPromoter}}},
                               "worker",
                               &run_tokens_};
  ScheduleService service_{world_.controller.get(), &authenticator_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::ScheduleService::Stub> stub_;
};

TEST_F(ScheduleServiceTest, BadRequestsNameTheField) {
  v1::Schedule schedule;
  Status status = Call(&v1::ScheduleService::Stub::ApplySchedule, v1::ApplyScheduleRequest(),
                       &schedule, "promoter");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "name");
}

TEST_F(ScheduleServiceTest, MissingThingsAreNotFound) {
  v1::Schedule schedule;
  v1::GetScheduleRequest get;
  get.set_name("none");
  EXPECT_EQ(Call(&v1::ScheduleService::Stub::GetSchedule, get, &schedule).code(),
            StatusCode::kNotFound);
  v1::Update update;
  v1::GetUpdateRequest get_update;
  get_update.set_id("update-none");
  EXPECT_EQ(Call(&v1::ScheduleService::Stub::GetUpdate, get_update, &update).code(),
            StatusCode::kNotFound);
  EXPECT_EQ(Call(&v1::ScheduleService::Stub::GetUpdate, get_update, &update, "wrong").code(),
            StatusCode::kUnauthenticated);
}

TEST_F(ScheduleServiceTest, OnlyAPromoterLetsASchedulePromote) {
  auto applied = world_.Apply("trigger: {cron: \"0 3 * * *\"}\n");
  ASSERT_TRUE(applied.ok());
  v1::ApplyScheduleRequest request;
  *request.mutable_spec() = applied->spec();
  v1::Schedule schedule;
  EXPECT_EQ(Call(&v1::ScheduleService::Stub::ApplySchedule, request, &schedule).code(),
            StatusCode::kPermissionDenied);
  EXPECT_TRUE(Call(&v1::ScheduleService::Stub::ApplySchedule, request, &schedule, "promoter").ok());
  request.mutable_spec()->mutable_promote()->set_manual(true);
  EXPECT_TRUE(Call(&v1::ScheduleService::Stub::ApplySchedule, request, &schedule).ok());
}

TEST_F(ScheduleServiceTest, ARepeatedTriggerReturnsTheFirstUpdate) {
  ASSERT_TRUE(world_.Apply("trigger: {cron: \"0 3 * * *\"}\n").ok());
  v1::TriggerScheduleRequest request;
  request.set_request_id("r");
  request.set_name("weekly");
  v1::Update first, second;
  ASSERT_TRUE(Call(&v1::ScheduleService::Stub::TriggerSchedule, request, &first).ok());
  ASSERT_TRUE(Call(&v1::ScheduleService::Stub::TriggerSchedule, request, &second).ok());
  EXPECT_EQ(first.id(), second.id());
  v1::ListUpdatesResponse list;
  ASSERT_TRUE(Call(&v1::ScheduleService::Stub::ListUpdates, v1::ListUpdatesRequest(), &list).ok());
  EXPECT_EQ(list.updates_size(), 1);
}

}  // namespace
}  // namespace attune
