#include "coordinator/api/model_service.h"

#include "common/rpc/rpc.h"

namespace attune {

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
