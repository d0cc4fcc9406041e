#pragma once

#include "attune/v1/drift.grpc.pb.h"
#include "coordinator/api/authenticator.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/drift/observations.h"

namespace attune {

// Authenticates and translates. Excluding a window takes a promoter. All outlive the service.
class DriftService final : public v1::DriftService::Service {
 public:
  DriftService(drift::Monitor* monitor, drift::ObservationStore* observations,
               const Authenticator* authenticator)
      : monitor_(monitor), observations_(observations), authenticator_(authenticator) {}

  grpc::Status ApplyStream(grpc::ServerContext* context, const v1::ApplyStreamRequest* request,
                           v1::Stream* response) override;
  grpc::Status GetStream(grpc::ServerContext* context, const v1::GetStreamRequest* request,
                         v1::Stream* response) override;
  grpc::Status ListStreams(grpc::ServerContext* context, const v1::ListStreamsRequest* request,
                           v1::ListStreamsResponse* response) override;
  grpc::Status DeleteStream(grpc::ServerContext* context, const v1::DeleteStreamRequest* request,
                            v1::DeleteStreamResponse* response) override;
  grpc::Status Observe(grpc::ServerContext* context, grpc::ServerReader<v1::ObserveRequest>* reader,
                       v1::ObserveResponse* response) override;
  grpc::Status ListWindows(grpc::ServerContext* context, const v1::ListWindowsRequest* request,
                           v1::ListWindowsResponse* response) override;
  grpc::Status CloseWindow(grpc::ServerContext* context, const v1::CloseWindowRequest* request,
                           v1::Stream* response) override;
  grpc::Status SetWindowExcluded(grpc::ServerContext* context,
                                 const v1::SetWindowExcludedRequest* request,
                                 v1::Window* response) override;

 private:
  drift::Monitor* const monitor_;
  drift::ObservationStore* const observations_;
  const Authenticator* const authenticator_;
};

}  // namespace attune
