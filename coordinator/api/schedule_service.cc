#include "coordinator/api/schedule_service.h"

#include "coordinator/api/answer.h"

namespace attune {

using retraining::Controller;

template <typename Request, typename Response>
grpc::Status ScheduleService::Answer(grpc::ServerContext* context, const Request* request,
                                     Response* response,
                                     Result<Response> (Controller::*method)(const Request&)) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return attune::Answer((controller_->*method)(*request), response);
}

grpc::Status ScheduleService::ApplySchedule(grpc::ServerContext* context,
                                            const v1::ApplyScheduleRequest* request,
                                            v1::Schedule* response) {
  // What gates let pass is promoted by itself: whoever says so must be one who may.
  if (!request->spec().promote().manual()) {
    security::Caller caller;
    grpc::Status allowed = authenticator_->CheckUser(*context, security::kPromoter, &caller);
    if (!allowed.ok()) return allowed;
  }
  return Answer(context, request, response, &Controller::Apply);
}

grpc::Status ScheduleService::GetSchedule(grpc::ServerContext* context,
                                          const v1::GetScheduleRequest* request,
                                          v1::Schedule* response) {
  return Answer(context, request, response, &Controller::Get);
}

grpc::Status ScheduleService::ListSchedules(grpc::ServerContext* context,
                                            const v1::ListSchedulesRequest* request,
                                            v1::ListSchedulesResponse* response) {
  return Answer(context, request, response, &Controller::List);
}

grpc::Status ScheduleService::DeleteSchedule(grpc::ServerContext* context,
                                             const v1::DeleteScheduleRequest* request,
                                             v1::DeleteScheduleResponse* response) {
  return Answer(context, request, response, &Controller::Delete);
}

grpc::Status ScheduleService::PauseSchedule(grpc::ServerContext* context,
                                            const v1::PauseScheduleRequest* request,
                                            v1::Schedule* response) {
  return Answer(context, request, response, &Controller::Pause);
}

grpc::Status ScheduleService::ResumeSchedule(grpc::ServerContext* context,
                                             const v1::ResumeScheduleRequest* request,
                                             v1::Schedule* response) {
  return Answer(context, request, response, &Controller::Resume);
}

grpc::Status ScheduleService::TriggerSchedule(grpc::ServerContext* context,
                                              const v1::TriggerScheduleRequest* request,
                                              v1::Update* response) {
  return Answer(context, request, response, &Controller::Trigger);
}

grpc::Status ScheduleService::ListUpdates(grpc::ServerContext* context,
                                          const v1::ListUpdatesRequest* request,
                                          v1::ListUpdatesResponse* response) {
  return Answer(context, request, response, &Controller::ListUpdates);
}

grpc::Status ScheduleService::GetUpdate(grpc::ServerContext* context,
                                        const v1::GetUpdateRequest* request, v1::Update* response) {
  return Answer(context, request, response, &Controller::GetUpdate);
}

grpc::Status ScheduleService::CancelUpdate(grpc::ServerContext* context,
                                           const v1::CancelUpdateRequest* request,
                                           v1::Update* response) {
  return Answer(context, request, response, &Controller::CancelUpdate);
}

grpc::Status ScheduleService::NextFirings(grpc::ServerContext* context,
                                          const v1::NextFiringsRequest* request,
                                          v1::NextFiringsResponse* response) {
  return Answer(context, request, response, &Controller::NextFirings);
}

}  // namespace attune
