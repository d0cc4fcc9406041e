#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "attune/v1/nodes.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/store/database.h"

namespace attune {

// All outlive the services.
struct ClusterPorts {
  jobs::ControlLoop* loop = nullptr;
  Database* database = nullptr;
  const Authenticator* authenticator = nullptr;
  std::filesystem::path storage;
  std::string version;
  std::string metrics_address;
  TimePoint started{};
};

class NodeService final : public v1::NodeService::Service {
 public:
  explicit NodeService(const ClusterPorts* ports) : ports_(ports) {}
  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                         v1::ListNodesResponse* response) override;

 private:
  const ClusterPorts* const ports_;
};

class ClusterService final : public v1::ClusterService::Service {
 public:
  explicit ClusterService(const ClusterPorts* ports) : ports_(ports) {}
  grpc::Status GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest* request,
                         v1::ClusterStatus* response) override;

 private:
  const ClusterPorts* const ports_;
};

}  // namespace attune
