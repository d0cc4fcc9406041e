#pragma once

#include "attune/v1/models.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/models/registry.h"

namespace attune {

// Authenticates and translates. The registry and the authenticator outlive the service.
class ModelService final : public v1::ModelService::Service {
 public:
  ModelService(models::Registry* registry, const Authenticator* authenticator)
      : registry_(registry), authenticator_(authenticator) {}

  grpc::Status ImportModel(grpc::ServerContext* context, const v1::ImportModelRequest* request,
                           v1::ModelVersion* response) override;
  grpc::Status ImportModelWithProgress(
      grpc::ServerContext* context, const v1::ImportModelRequest* request,
      grpc::ServerWriter<v1::ImportModelProgress>* writer) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::ModelVersion* response) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;

 private:
  models::Registry* const registry_;
  const Authenticator* const authenticator_;
};

}  // namespace attune
