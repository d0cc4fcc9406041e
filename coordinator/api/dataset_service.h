#pragma once

#include <chrono>

#include "attune/v1/datasets.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/objects/timely_source.h"

namespace attune {

// Authenticates and translates. The catalog and the authenticator outlive the service.
class DatasetService final : public v1::DatasetService::Service {
 public:
  // How long an import waits for a bucket's next bytes.
  static constexpr std::chrono::minutes kObjectPatience{1};

  DatasetService(datasets::Catalog* catalog, const Authenticator* authenticator)
      : catalog_(catalog), authenticator_(authenticator) {}

  // Before the server's own: imports that wait for a bucket end.
  void Shutdown() { patience_.End(); }

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

  grpc::Status ListFindings(grpc::ServerContext* context, const v1::ListFindingsRequest* request,
                            v1::ListFindingsResponse* response) override;

 private:
  // All of an import's bytes: what the client sends, then the objects that the header names.
  Status ReadSources(grpc::ServerContext* context,
                     grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                     const v1::ImportDatasetRequest::Header& header, datasets::Import* import);

  datasets::Catalog* const catalog_;
  const Authenticator* const authenticator_;
  objects::Patience patience_{kObjectPatience};
};

}  // namespace attune
