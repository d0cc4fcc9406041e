#include "coordinator/api/dataset_service.h"

#include <algorithm>
#include <set>

#include "common/rpc/rpc.h"
#include "coordinator/api/answer.h"
#include "coordinator/objects/matching.h"

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

Status DatasetService::ReadSources(grpc::ServerContext* context,
                                   grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                                   const v1::ImportDatasetRequest::Header& header,
                                   datasets::Import* import) {
  ATTUNE_RETURN_IF_ERROR(ReadChunks(reader, import));
  std::set<std::string> seen;
  for (const std::string& uri : header.uris()) {
    std::string now;  // what is read of this address
    ATTUNE_RETURN_IF_ERROR(objects::ReadMatching(
        patience_, uri, [&](const std::string& file, std::string_view bytes) -> Status {
          if (context->IsCancelled()) return Cancelled("nobody waits for the import any more");
          if (file != now && !seen.insert(file).second) return Status();  // of another address, too
          now = file;
          return import->Append(file, bytes);
        }));
  }
  return Status();
}

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
  const v1::ImportDatasetRequest::Header header = first.header();
  Result<std::unique_ptr<datasets::Import>> import = catalog_->StartImport(
      header, datasets::LikelyAnswers::kRejected, [context] { return context->IsCancelled(); });
  if (!import.ok()) return rpc::ToGrpc(import.status());
  if (!(*import)->already_done()) {
    Status read = ReadSources(context, reader, header, import->get());
    if (!read.ok()) return rpc::ToGrpc(read);
  }
  return Answer((*import)->Finish(), response);
}

grpc::Status DatasetService::GetDataset(grpc::ServerContext* context,
                                        const v1::GetDatasetRequest* request,
                                        v1::DatasetVersion* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->Show(request->name()), response);
}

grpc::Status DatasetService::ListDatasets(grpc::ServerContext* context,
                                          const v1::ListDatasetsRequest* request,
                                          v1::ListDatasetsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->List(*request), response);
}

grpc::Status DatasetService::DeleteDatasets(grpc::ServerContext* context,
                                            const v1::DeleteDatasetsRequest* request,
                                            v1::DeleteDatasetsResponse* response) {
  security::Caller caller;
  grpc::Status allowed = authenticator_->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->Delete(*request, caller.actor()), response);
}

grpc::Status DatasetService::DiffDatasets(grpc::ServerContext* context,
                                          const v1::DiffDatasetsRequest* request,
                                          v1::DatasetDiff* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->Diff(*request), response);
}

grpc::Status DatasetService::ListFindings(grpc::ServerContext* context,
                                          const v1::ListFindingsRequest* request,
                                          v1::ListFindingsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(catalog_->ListFindings(*request), response);
}

grpc::Status DatasetService::SampleDataset(grpc::ServerContext* context,
                                           const v1::SampleDatasetRequest* request,
                                           grpc::ServerWriter<v1::DatasetLines>* writer) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  v1::DatasetLines lines;
  auto send = [&]() -> Status {
    if (!lines.data().empty() && !writer->Write(lines)) return Cancelled("the client went away");
    lines.clear_data();
    return Status();
  };
  Status sampled = catalog_->Sample(*request, [&](std::string_view line) -> Status {
    for (; !line.empty(); line.remove_prefix(std::min(line.size(), kChunkBytesMax))) {
      lines.mutable_data()->append(line.substr(0, kChunkBytesMax));
      if (lines.data().size() >= kChunkBytesMax) ATTUNE_RETURN_IF_ERROR(send());
    }
    lines.mutable_data()->push_back('\n');
    return Status();
  });
  if (sampled.ok()) sampled = send();
  return rpc::ToGrpc(sampled);
}

}  // namespace attune
