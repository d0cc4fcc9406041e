#include "coordinator/api/dataset_service.h"

#include "common/rpc/rpc.h"

namespace attune {
namespace {

constexpr size_t kChunkBytesMax = 1 << 20;
constexpr const char* kCutOff =
    "the import's stream stopped before its end: nothing was imported; send the files again";

grpc::Status Answer(const Status& status) {
  return rpc::ToGrpc(status);
}

// Reads chunks up to the end message; total is checked against it.
Status ReadChunks(grpc::ServerReader<v1::ImportDatasetRequest>* reader, datasets::Import* import) {
  v1::ImportDatasetRequest request;
  uint64_t total = 0;
  while (reader->Read(&request)) {
    switch (request.part_case()) {
      case v1::ImportDatasetRequest::kChunk:
        if (request.chunk().data().size() > kChunkBytesMax) {
          return InvalidArgument("a chunk has more than 1 MiB").WithField("chunk.data");
        }
        total += request.chunk().data().size();
        ATTUNE_RETURN_IF_ERROR(import->Append(request.chunk().file(), request.chunk().data()));
        break;
      case v1::ImportDatasetRequest::kEnd:
        return total == request.end().bytes() ? Status() : DataLoss(kCutOff);
      default:
        return InvalidArgument("after the header come chunks and the end");
    }
  }
  return Cancelled(kCutOff);
}

}  // namespace

grpc::Status DatasetService::ImportDataset(grpc::ServerContext* context,
                                           grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                                           v1::DatasetVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  v1::ImportDatasetRequest first;
  if (!reader->Read(&first)) return Answer(Cancelled(kCutOff));
  if (!first.has_header()) return Answer(InvalidArgument("the first message must be the header"));
  Result<std::unique_ptr<datasets::Import>> import = catalog_->StartImport(first.header());
  if (!import.ok()) return Answer(import.status());
  if (!(*import)->already_done()) {
    Status read = ReadChunks(reader, import->get());
    if (!read.ok()) return Answer(read);
  }
  Result<v1::DatasetVersion> version = (*import)->Finish();
  if (!version.ok()) return Answer(version.status());
  *response = *std::move(version);
  return grpc::Status::OK;
}

grpc::Status DatasetService::GetDataset(grpc::ServerContext* context,
                                        const v1::GetDatasetRequest* request,
                                        v1::DatasetVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::DatasetVersion> version = catalog_->Get(request->name());
  if (!version.ok()) return Answer(version.status());
  *response = *std::move(version);
  return grpc::Status::OK;
}

grpc::Status DatasetService::ListDatasets(grpc::ServerContext* context,
                                          const v1::ListDatasetsRequest* request,
                                          v1::ListDatasetsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::ListDatasetsResponse> list = catalog_->List(*request);
  if (!list.ok()) return Answer(list.status());
  *response = *std::move(list);
  return grpc::Status::OK;
}

}  // namespace attune
