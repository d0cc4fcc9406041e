#pragma once

#include <filesystem>

#include "attune/v1/models.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/models/card.h"
#include "coordinator/models/registry.h"

namespace attune {

// All outlive the service. storage: the cluster's folder. find_dataset: for model cards.
struct ModelServicePorts {
  models::Registry* registry = nullptr;
  Database* database = nullptr;
  const Authenticator* authenticator = nullptr;
  std::filesystem::path storage;
  models::FindDataset find_dataset;
};

// Authenticates and translates. Moving aliases and removing files take a promoter.
class ModelService final : public v1::ModelService::Service {
 public:
  explicit ModelService(ModelServicePorts ports) : ports_(std::move(ports)) {}

  grpc::Status ImportModel(grpc::ServerContext* context, const v1::ImportModelRequest* request,
                           v1::ModelVersion* response) override;
  grpc::Status ImportModelWithProgress(
      grpc::ServerContext* context, const v1::ImportModelRequest* request,
      grpc::ServerWriter<v1::ImportModelProgress>* writer) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::ModelVersion* response) override;
  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override;

  grpc::Status SetAlias(grpc::ServerContext* context, const v1::SetAliasRequest* request,
                        v1::Alias* response) override;
  grpc::Status RollBackAlias(grpc::ServerContext* context, const v1::RollBackAliasRequest* request,
                             v1::Alias* response) override;
  grpc::Status DeleteAlias(grpc::ServerContext* context, const v1::DeleteAliasRequest* request,
                           v1::DeleteAliasResponse* response) override;
  grpc::Status ListAliases(grpc::ServerContext* context, const v1::ListAliasesRequest* request,
                           v1::ListAliasesResponse* response) override;
  grpc::Status ListAliasMoves(grpc::ServerContext* context,
                              const v1::ListAliasMovesRequest* request,
                              v1::ListAliasMovesResponse* response) override;

  grpc::Status PruneModels(grpc::ServerContext* context, const v1::PruneModelsRequest* request,
                           v1::PruneModelsResponse* response) override;
  grpc::Status GetModelCard(grpc::ServerContext* context, const v1::GetModelCardRequest* request,
                            v1::ModelCard* response) override;
  grpc::Status GetGateReport(grpc::ServerContext* context, const v1::GetGateReportRequest* request,
                             v1::GateReport* response) override;
  grpc::Status ReadGateFacts(grpc::ServerContext* context, const v1::GetGateReportRequest* request,
                             grpc::ServerWriter<v1::GateFactsChunk>* writer) override;

 private:
  // Of a version or alias.
  Result<v1::GateReport> FindReport(const std::string& model);

  const ModelServicePorts ports_;
};

}  // namespace attune
