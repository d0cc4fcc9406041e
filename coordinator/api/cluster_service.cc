#include "coordinator/api/cluster_service.h"

#include <algorithm>

#include "common/rpc/rpc.h"
#include "coordinator/jobs/repository.h"

namespace attune {
namespace {

constexpr uint32_t kPageSizeDefault = 100;
constexpr uint32_t kPageSizeMax = 1000;

Result<std::vector<v1::Node>> Nodes(jobs::ControlLoop* loop) {
  return loop->Call<std::vector<v1::Node>>(
      [](jobs::Controller& controller) -> Result<std::vector<v1::Node>> {
        return controller.Nodes();
      });
}

}  // namespace

// Nodes are sorted by name; the page token is the last name of the page before.
grpc::Status NodeService::ListNodes(grpc::ServerContext* context,
                                    const v1::ListNodesRequest* request,
                                    v1::ListNodesResponse* response) {
  grpc::Status allowed = ports_->authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto nodes = Nodes(ports_->loop);
  if (!nodes.ok()) return rpc::ToGrpc(nodes.status());
  uint32_t page =
      request->page_size() == 0 ? kPageSizeDefault : std::min(request->page_size(), kPageSizeMax);
  for (const v1::Node& node : *nodes) {
    if (node.name() <= request->page_token()) continue;
    if (response->nodes_size() == static_cast<int>(page)) {
      response->set_next_page_token(response->nodes(response->nodes_size() - 1).name());
      break;
    }
    *response->add_nodes() = node;
  }
  return grpc::Status::OK;
}

grpc::Status ClusterService::GetStatus(grpc::ServerContext* context,
                                       const v1::GetStatusRequest* request,
                                       v1::ClusterStatus* response) {
  grpc::Status allowed = ports_->authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto nodes = Nodes(ports_->loop);
  if (!nodes.ok()) return rpc::ToGrpc(nodes.status());
  Status read = ports_->database->Read([&](Transaction& transaction) {
    jobs::JobCounts counts = jobs::CountJobs(transaction);
    for (const auto& [state, count] : counts["TRAIN"]) {
      (*response->mutable_jobs())[state] = static_cast<uint32_t>(count);
    }
    return Status();
  });
  if (!read.ok()) return rpc::ToGrpc(read);
  response->set_version(ports_->version);
  jobs::SetTimestamp(response->mutable_started(), ports_->started);
  uint32_t ready = 0, slots = 0, used = 0;
  for (const v1::Node& node : *nodes) {
    if (node.state() != v1::Node::READY) continue;
    ++ready;
    slots += node.slots();
    used += node.slots_used();
  }
  response->set_nodes_ready(ready);
  response->set_slots(slots);
  response->set_slots_used(used);
  response->set_storage(ports_->storage.string());
  std::error_code error;
  auto space = std::filesystem::space(ports_->storage, error);
  if (!error) response->set_storage_free_bytes(space.available);
  response->set_metrics_address(ports_->metrics_address);
  return grpc::Status::OK;
}

}  // namespace attune
