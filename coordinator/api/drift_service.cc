#include "coordinator/api/drift_service.h"

#include <algorithm>

#include "common/rpc/rpc.h"
#include "coordinator/api/answer.h"

namespace attune {
namespace {

constexpr size_t kChunkBytesMax = 1 << 20;
constexpr size_t kPageBytesMax = 4 << 20;  // windows carry samples of text
constexpr uint32_t kWindowsDefault = 100;
constexpr uint32_t kWindowsMax = 1000;
constexpr const char* kCutOff =
    "the stream of rows stopped before its end: nothing was taken; send them again";

// Reads chunks up to the end message; total is checked against it.
Status ReadChunks(grpc::ServerReader<v1::ObserveRequest>* reader, drift::Batch* batch) {
  v1::ObserveRequest request;
  uint64_t total = 0;
  while (reader->Read(&request)) {
    switch (request.part_case()) {
      case v1::ObserveRequest::kChunk:
        if (request.chunk().data().size() > kChunkBytesMax) {
          return InvalidArgument("a chunk has more than 1 MiB").WithField("chunk.data");
        }
        total += request.chunk().data().size();
        ATTUNE_RETURN_IF_ERROR(batch->Append(request.chunk().file(), request.chunk().data()));
        break;
      case v1::ObserveRequest::kEnd:
        return total == request.end().bytes() ? Status() : DataLoss(kCutOff);
      default:
        return InvalidArgument("after the header come chunks and the end");
    }
  }
  return Cancelled(kCutOff);
}

}  // namespace

grpc::Status DriftService::ApplyStream(grpc::ServerContext* context,
                                       const v1::ApplyStreamRequest* request,
                                       v1::Stream* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(monitor_->Apply(*request), response);
}

grpc::Status DriftService::GetStream(grpc::ServerContext* context,
                                     const v1::GetStreamRequest* request, v1::Stream* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(monitor_->Get(request->name()), response);
}

grpc::Status DriftService::ListStreams(grpc::ServerContext* context,
                                       const v1::ListStreamsRequest* request,
                                       v1::ListStreamsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(monitor_->List(*request), response);
}

grpc::Status DriftService::DeleteStream(grpc::ServerContext* context,
                                        const v1::DeleteStreamRequest* request,
                                        v1::DeleteStreamResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return rpc::ToGrpc(monitor_->Delete(*request));
}

grpc::Status DriftService::Observe(grpc::ServerContext* context,
                                   grpc::ServerReader<v1::ObserveRequest>* reader,
                                   v1::ObserveResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  v1::ObserveRequest first;
  if (!reader->Read(&first)) return rpc::ToGrpc(Cancelled(kCutOff));
  if (!first.has_header()) {
    return rpc::ToGrpc(InvalidArgument("the first message must be the header"));
  }
  auto batch = observations_->Start(first.header().request_id(), first.header().name());
  if (!batch.ok()) return rpc::ToGrpc(batch.status());
  if (!(*batch)->already_done()) {
    Status read = ReadChunks(reader, batch->get());
    if (!read.ok()) return rpc::ToGrpc(read);
  }
  return Answer((*batch)->Finish(), response);
}

grpc::Status DriftService::ListWindows(grpc::ServerContext* context,
                                       const v1::ListWindowsRequest* request,
                                       v1::ListWindowsResponse* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  const uint32_t limit =
      request->page_size() == 0 ? kWindowsDefault : std::min(request->page_size(), kWindowsMax);
  auto windows = monitor_->Windows(request->stream(), request->after(), limit + 1);
  if (!windows.ok()) return rpc::ToGrpc(windows.status());
  size_t bytes = 0;
  for (v1::Window& window : *windows) {
    bytes += window.ByteSizeLong();
    const bool fits = response->windows_size() == 0 || bytes <= kPageBytesMax;
    if (response->windows_size() == static_cast<int>(limit) || !fits) {
      response->set_more(true);
      break;
    }
    *response->add_windows() = std::move(window);
  }
  return grpc::Status::OK;
}

grpc::Status DriftService::CloseWindow(grpc::ServerContext* context,
                                       const v1::CloseWindowRequest* request,
                                       v1::Stream* response) {
  grpc::Status allowed = authenticator_->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(monitor_->CloseWindow(request->request_id(), request->stream()), response);
}

grpc::Status DriftService::SetWindowExcluded(grpc::ServerContext* context,
                                             const v1::SetWindowExcludedRequest* request,
                                             v1::Window* response) {
  security::Caller caller;
  grpc::Status allowed = authenticator_->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(monitor_->SetWindowExcluded(*request, caller.actor()), response);
}

}  // namespace attune
