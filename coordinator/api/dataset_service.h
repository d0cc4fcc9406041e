#pragma once

#include "attune/v1/datasets.grpc.pb.h"
#include "coordinator/datasets/catalog.h"

namespace attune {

// Translates only; authentication is an interceptor's matter. The catalog outlives the service.
class DatasetService final : public v1::DatasetService::Service {
 public:
  explicit DatasetService(datasets::Catalog* catalog) : catalog_(catalog) {}

  grpc::Status ImportDataset(grpc::ServerContext* context,
                             grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                             v1::DatasetVersion* response) override;
  grpc::Status GetDataset(grpc::ServerContext* context, const v1::GetDatasetRequest* request,
                          v1::DatasetVersion* response) override;
  grpc::Status ListDatasets(grpc::ServerContext* context, const v1::ListDatasetsRequest* request,
                            v1::ListDatasetsResponse* response) override;

 private:
  datasets::Catalog* const catalog_;
};

}  // namespace attune
