#pragma once

#include "attune/v1/schedules.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/retraining/controller.h"

namespace attune {

// Authenticates and translates. The controller and the authenticator outlive the service.
class ScheduleService final : public v1::ScheduleService::Service {
 public:
  ScheduleService(retraining::Controller* controller, const Authenticator* authenticator)
      : controller_(controller), authenticator_(authenticator) {}

  grpc::Status ApplySchedule(grpc::ServerContext* context, const v1::ApplyScheduleRequest* request,
                             v1::Schedule* response) override;
  grpc::Status GetSchedule(grpc::ServerContext* context, const v1::GetScheduleRequest* request,
                           v1::Schedule* response) override;
  grpc::Status ListSchedules(grpc::ServerContext* context, const v1::ListSchedulesRequest* request,
                             v1::ListSchedulesResponse* response) override;
  grpc::Status DeleteSchedule(grpc::ServerContext* context,
                              const v1::DeleteScheduleRequest* request,
                              v1::DeleteScheduleResponse* response) override;
  grpc::Status PauseSchedule(grpc::ServerContext* context, const v1::PauseScheduleRequest* request,
                             v1::Schedule* response) override;
  grpc::Status ResumeSchedule(grpc::ServerContext* context,
                              const v1::ResumeScheduleRequest* request,
                              v1::Schedule* response) override;
  grpc::Status TriggerSchedule(grpc::ServerContext* context,
                               const v1::TriggerScheduleRequest* request,
                               v1::Update* response) override;
  grpc::Status ListUpdates(grpc::ServerContext* context, const v1::ListUpdatesRequest* request,
                           v1::ListUpdatesResponse* response) override;
  grpc::Status GetUpdate(grpc::ServerContext* context, const v1::GetUpdateRequest* request,
                         v1::Update* response) override;
  grpc::Status CancelUpdate(grpc::ServerContext* context, const v1::CancelUpdateRequest* request,
                            v1::Update* response) override;
  grpc::Status NextFirings(grpc::ServerContext* context, const v1::NextFiringsRequest* request,
                           v1::NextFiringsResponse* response) override;

 private:
  template <typename Request, typename Response>
  grpc::Status Answer(grpc::ServerContext* context, const Request* request, Response* response,
                      Result<Response> (retraining::Controller::*method)(const Request&));

  retraining::Controller* const controller_;
  const Authenticator* const authenticator_;
};

}  // namespace attune
