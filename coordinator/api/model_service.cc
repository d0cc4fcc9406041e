#include "coordinator/api/model_service.h"

#include <chrono>

#include "common/rpc/rpc.h"

namespace attune {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{200};

}  // namespace

grpc::Status ModelService::ImportModel(grpc::ServerContext* context,
                                       const v1::ImportModelRequest* request,
                                       v1::ModelVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::ModelVersion> version = registry_->Import(*request);
  if (!version.ok()) return rpc::ToGrpc(version.status());
  *response = *std::move(version);
  return grpc::Status::OK;
}

grpc::Status ModelService::ImportModelWithProgress(
    grpc::ServerContext* context, const v1::ImportModelRequest* request,
    grpc::ServerWriter<v1::ImportModelProgress>* writer) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto next = std::chrono::steady_clock::now();
  const auto progress = [&](const char* phase, uint64_t done, uint64_t total) -> Status {
    if (context->IsCancelled()) return Cancelled("the caller of the import has gone");
    const auto now = std::chrono::steady_clock::now();
    if (now < next && done < total) return Status();
    next = now + kProgressInterval;
    v1::ImportModelProgress message;
    message.set_phase(phase);
    message.set_done(done);
    message.set_total(total);
    writer->Write(message);  // that it fails is seen at the next
    return Status();
  };
  Result<v1::ModelVersion> version = registry_->Import(*request, progress);
  if (!version.ok()) return rpc::ToGrpc(version.status());
  v1::ImportModelProgress last;
  *last.mutable_version() = *std::move(version);
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status ModelService::GetModel(grpc::ServerContext* context,
                                    const v1::GetModelRequest* request,
                                    v1::ModelVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::ModelVersion> version = registry_->Get(request->name());
  if (!version.ok()) return rpc::ToGrpc(version.status());
  *response = *std::move(version);
  return grpc::Status::OK;
}

grpc::Status ModelService::ListModels(grpc::ServerContext* context,
                                      const v1::ListModelsRequest* request,
                                      v1::ListModelsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::ListModelsResponse> list = registry_->List(*request);
  if (!list.ok()) return rpc::ToGrpc(list.status());
  *response = *std::move(list);
  return grpc::Status::OK;
}

}  // namespace attune
