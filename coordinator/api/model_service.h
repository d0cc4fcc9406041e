#pragma once

#include "attune/v1/models.grpc.pb.h"
#include "coordinator/models/registry.h"

namespace attune {

// Translates only; authentication is an interceptor's matter. The registry outlives the service.
class ModelService final : public v1::ModelService::Service {
 public:
  explicit ModelService(models::Registry* registry) : registry_(registry) {}

  grpc::Status ImportModel(grpc::ServerContext* context, const v1::ImportModelRequest* request,
                           v1::ModelVersion* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::ModelVersion* response) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;

 private:
  models::Registry* const registry_;
};

}  // namespace attune
