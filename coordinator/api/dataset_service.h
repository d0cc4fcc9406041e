#pragma once

#include "attune/v1/datasets.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/datasets/catalog.h"

namespace attune {

// Authenticates and translates. The catalog and the authenticator outlive the service.
class DatasetService final : public v1::DatasetService::Service {
 public:
  DatasetService(datasets::Catalog* catalog, const Authenticator* authenticator)
      : catalog_(catalog), authenticator_(authenticator) {}

  grpc::Status ImportDataset(grpc::ServerContext* context,
                             grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                             v1::DatasetVersion* response) override;
  grpc::Status GetDataset(grpc::ServerContext* context, const v1::GetDatasetRequest* request,
                          v1::DatasetVersion* response) override;
  grpc::Status ListDatasets(grpc::ServerContext* context, const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override;
  grpc::Status DeleteDatasets(grpc::ServerContext* context,
                              const v1::DeleteDatasetsRequest* request,
                              v1::DeleteDatasetsResponse* response) override;
  grpc::Status DiffDatasets(grpc::ServerContext* context, const v1::DiffDatasetsRequest* request,
                            v1::DatasetDiff* response) override;
  grpc::Status SampleDataset(grpc::ServerContext* context, const v1::SampleDatasetRequest* request,
                             grpc::ServerWriter<v1::DatasetLines>* writer) override;

 private:
  datasets::Catalog* const catalog_;
  const Authenticator* const authenticator_;
};

}  // namespace attune
