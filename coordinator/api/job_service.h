#pragma once

#include <filesystem>

#include "attune/v1/jobs.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/api/log_store.h"
#include "coordinator/api/pull_stream.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/jobs/ledger.h"
#include "coordinator/store/database.h"

namespace attune {

// Mutations go through the control loop; reads go to the store; what follows something is a
// PullStream. All outlive the service.
struct JobServicePorts {
  jobs::ControlLoop* loop = nullptr;
  Database* database = nullptr;
  StreamPump* pump = nullptr;
  LogStore* logs = nullptr;
  const Authenticator* authenticator = nullptr;
  std::filesystem::path storage;
};

// The streams by the callback API, so that watchers hold no threads.
using JobServiceBase = v1::JobService::WithCallbackMethod_WatchJob<
    v1::JobService::WithCallbackMethod_ReadMetrics<v1::JobService::WithCallbackMethod_ReadLogs<
        v1::JobService::WithCallbackMethod_ReadOutput<v1::JobService::Service>>>>;

class JobService final : public JobServiceBase {
 public:
  explicit JobService(JobServicePorts ports)
      : ports_(std::move(ports)), ledgers_(ports_.database, ports_.storage) {}

  grpc::Status SubmitJob(grpc::ServerContext* context, const v1::SubmitJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::Job* response) override;
  grpc::Status PauseJob(grpc::ServerContext* context, const v1::PauseJobRequest* request,
                        v1::Job* response) override;
  grpc::Status ResumeJob(grpc::ServerContext* context, const v1::ResumeJobRequest* request,
                         v1::Job* response) override;
  grpc::Status ExplainJob(grpc::ServerContext* context, const v1::ExplainJobRequest* request,
                          v1::JobExplanation* response) override;
  grpc::Status GetLedger(grpc::ServerContext* context, const v1::GetLedgerRequest* request,
                         v1::JobLedger* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerWriteReactor<v1::MetricPoint>* ReadMetrics(
      grpc::CallbackServerContext* context, const v1::ReadMetricsRequest* request) override;
  grpc::ServerWriteReactor<v1::LogChunk>* ReadLogs(grpc::CallbackServerContext* context,
                                                   const v1::ReadLogsRequest* request) override;
  grpc::ServerWriteReactor<v1::OutputChunk>* ReadOutput(
      grpc::CallbackServerContext* context, const v1::ReadOutputRequest* request) override;

 private:
  Result<v1::Job> Find(const std::string& id_or_name) const;
  // Mutations: authenticates, runs on the loop, answers.
  template <typename Request>
  grpc::Status Mutate(grpc::ServerContext* context, const Request* request, v1::Job* response,
                      Result<v1::Job> (jobs::Controller::*method)(const Request&));

  const JobServicePorts ports_;
  jobs::LedgerReader ledgers_;
};

}  // namespace attune
