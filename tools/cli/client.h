#pragma once

// The CLI's side of the protocol: every call with a deadline, retried while the coordinator is
// away.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "attune/v1/datasets.grpc.pb.h"
#include "attune/v1/drift.grpc.pb.h"
#include "attune/v1/jobs.grpc.pb.h"
#include "attune/v1/models.grpc.pb.h"
#include "attune/v1/nodes.grpc.pb.h"
#include "attune/v1/schedules.grpc.pb.h"
#include "common/base/hash.h"
#include "common/rpc/rpc.h"

namespace attune::cli {

// Waits between tries: from 100 ms to 5 s, doubling, each between half and all of it (jitter).
class Backoff {
 public:
  explicit Backoff(uint64_t seed) : random_(seed) {}
  std::chrono::milliseconds Next();
  void Reset() { next_ = kFirst; }

 private:
  static constexpr std::chrono::milliseconds kFirst{100}, kMost{5000};
  Random random_;
  std::chrono::milliseconds next_ = kFirst;
};

class Client {
 public:
  // on_away is called once per call, before the first retry.
  static Result<std::unique_ptr<Client>> Connect(const rpc::Endpoint& endpoint,
                                                 std::chrono::milliseconds timeout,
                                                 std::function<void()> on_away);

  v1::JobService::Stub& jobs() { return *jobs_; }
  v1::DatasetService::Stub& datasets() { return *datasets_; }
  v1::ModelService::Stub& models() { return *models_; }
  v1::DriftService::Stub& drift() { return *drift_; }
  v1::NodeService::Stub& nodes() { return *nodes_; }
  v1::ScheduleService::Stub& schedules() { return *schedules_; }
  v1::ClusterService::Stub& cluster() { return *cluster_; }
  const rpc::Endpoint& endpoint() const { return endpoint_; }
  std::chrono::milliseconds timeout() const { return timeout_; }

  // One unary call: client.Call(client.jobs(), &v1::JobService::Stub::GetJob, request). Retried
  // while the coordinator cannot be reached: reads for a short while, mutations (a request with a
  // request id, which makes them safe to repeat) until the client's timeout. timeout: of a call
  // that is known to take long.
  template <typename Stub, typename Request, typename Response>
  Result<Response> Call(Stub& stub,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
                        const Request& request, std::chrono::milliseconds timeout = {}) {
    Response response;
    bool mutation = Request::descriptor()->FindFieldByName("request_id") != nullptr;
    Status status = Retry(
        mutation, timeout.count() > 0 ? timeout : timeout_,
        [&](grpc::ClientContext* context) { return (stub.*method)(context, request, &response); });
    if (!status.ok()) return status;
    return response;
  }

  // A call of another shape that is safe to repeat, as its request has a request id.
  using Attempt = std::function<grpc::Status(grpc::ClientContext*)>;
  Status Mutate(std::chrono::milliseconds timeout, const Attempt& attempt) {
    return Retry(true, timeout, attempt);
  }

  // A status of the wire with what to do about it.
  Status Explain(const grpc::Status& status) const;
  std::unique_ptr<grpc::ClientContext> NewContext(std::chrono::milliseconds timeout) const {
    return rpc::NewContext(endpoint_, timeout);
  }

 private:
  Client(rpc::Endpoint endpoint, std::chrono::milliseconds timeout, std::function<void()> on_away,
         const std::shared_ptr<grpc::Channel>& channel);
  Status Retry(bool mutation, std::chrono::milliseconds timeout, const Attempt& attempt);

  const rpc::Endpoint endpoint_;
  const std::chrono::milliseconds timeout_;
  const std::function<void()> on_away_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::DriftService::Stub> drift_;
  std::unique_ptr<v1::NodeService::Stub> nodes_;
  std::unique_ptr<v1::ScheduleService::Stub> schedules_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
};

}  // namespace attune::cli
