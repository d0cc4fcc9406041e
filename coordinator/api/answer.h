#pragma once

// What a service does with a result: the value into the response, or the error to the caller.

#include <grpcpp/grpcpp.h>

#include <utility>

#include "common/base/status.h"
#include "common/rpc/rpc.h"

namespace attune {

template <typename Response>
grpc::Status Answer(Result<Response> result, Response* response) {
  if (!result.ok()) return rpc::ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

}  // namespace attune
