#include "coordinator/api/dataset_service.h"

#include "common/rpc/rpc.h"
#include "coordinator/api/answer.h"

namespace attune {
namespace {

constexpr size_t kChunkBytesMax = 1 << 20;
constexpr const char* kCutOff =
    "the import's stream stopped before its end: nothing was imported; send the files again";

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
  if (!reader->Read(&first)) return rpc::ToGrpc(Cancelled(kCutOff));
  if (!first.has_header()) {
    return rpc::ToGrpc(InvalidArgument("the first message must be the header"));
  }
  Result<std::unique_ptr<datasets::Import>> import = catalog_->StartImport(first.header());
  if (!import.ok()) return rpc::ToGrpc(import.status());
  if (!(*import)->already_done()) {
    Status read = ReadChunks(reader, import->get());
    if (!read.ok()) return rpc::ToGrpc(read);
  }
  return Answer((*import)->Finish(), response);
}

grpc::Status DatasetService::GetDataset(grpc::ServerContext* context,
                                        const v1::GetDatasetRequest* request,
                                        v1::DatasetVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->Get(request->name()), response);
}

grpc::Status DatasetService::ListDatasets(grpc::ServerContext* context,
                                          const v1::ListDatasetsRequest* request,
                                          v1::ListDatasetsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->List(*request), response);
}

}  // namespace attune
