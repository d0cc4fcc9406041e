#include "coordinator/api/job_service.h"

#include "common/rpc/rpc.h"
#include "coordinator/jobs/repository.h"

namespace attune {

Result<v1::Job> JobService::Find(const std::string& id_or_name) const {
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, jobs::FindJob(transaction, id_or_name));
    return Status();
  }));
  return job;
}

template <typename Request>
grpc::Status JobService::Mutate(grpc::ServerContext* context, const Request* request,
                                v1::Job* response,
                                Result<v1::Job> (jobs::Controller::*method)(const Request&)) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  // By value: the call may give up while the function still waits in the loop's queue.
  auto job = ports_.loop->Call<v1::Job>([method, copy = *request](jobs::Controller& controller) {
    return (controller.*method)(copy);
  });
  if (job.ok()) *response = std::move(*job);
  return rpc::ToGrpc(job.status());
}

grpc::Status JobService::SubmitJob(grpc::ServerContext* context,
                                   const v1::SubmitJobRequest* request, v1::Job* response) {
  return Mutate(context, request, response, &jobs::Controller::Submit);
}

grpc::Status JobService::CancelJob(grpc::ServerContext* context,
                                   const v1::CancelJobRequest* request, v1::Job* response) {
  return Mutate(context, request, response, &jobs::Controller::Cancel);
}

grpc::Status JobService::PauseJob(grpc::ServerContext* context, const v1::PauseJobRequest* request,
                                  v1::Job* response) {
  return Mutate(context, request, response, &jobs::Controller::Pause);
}

grpc::Status JobService::ResumeJob(grpc::ServerContext* context,
                                   const v1::ResumeJobRequest* request, v1::Job* response) {
  return Mutate(context, request, response, &jobs::Controller::Resume);
}

grpc::Status JobService::GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                                v1::Job* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto job = Find(request->id());
  if (job.ok()) *response = std::move(*job);
  return rpc::ToGrpc(job.status());
}

grpc::Status JobService::GetLedger(grpc::ServerContext* context,
                                   const v1::GetLedgerRequest* request, v1::JobLedger* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto job = Find(request->id());
  if (!job.ok()) return rpc::ToGrpc(job.status());
  auto ledger = ledgers_.Read(*job, *request);
  if (ledger.ok()) *response = std::move(*ledger);
  return rpc::ToGrpc(ledger.status());
}

grpc::Status JobService::ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                                  v1::ListJobsResponse* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return rpc::ToGrpc(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(*response, jobs::ListJobs(transaction, *request));
    return Status();
  }));
}

grpc::Status JobService::ExplainJob(grpc::ServerContext* context,
                                    const v1::ExplainJobRequest* request,
                                    v1::JobExplanation* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto answer = ports_.loop->Call<v1::JobExplanation>(
      [id = request->id()](jobs::Controller& controller) { return controller.Explain(id); });
  if (answer.ok()) *response = std::move(*answer);
  return rpc::ToGrpc(answer.status());
}

}  // namespace attune
