#pragma once

// Who is calling, by the call's bearer token. Thread-safe.

#include <grpcpp/grpcpp.h>

#include <string>

#include "coordinator/security/tokens.h"

namespace attune {

class Authenticator {
 public:
  // An empty token lets everyone in (a coordinator on loopback). A worker without a token of its
  // own uses the user's. tokens outlives the object.
  Authenticator(std::string user_token, std::string worker_token, const security::RunTokens* tokens)
      : user_token_(std::move(user_token)),
        worker_token_(worker_token.empty() ? user_token_ : std::move(worker_token)),
        tokens_(tokens) {}

  // OK, or UNAUTHENTICATED with what to do.
  grpc::Status CheckUser(const grpc::ServerContextBase& context) const;
  grpc::Status CheckWorker(const grpc::ServerContextBase& context) const;
  // The run that the caller is a trainer of, or UNAUTHENTICATED: the run has ended or never was.
  grpc::Status CheckTrainer(const grpc::ServerContextBase& context, std::string* run) const;

 private:
  const std::string user_token_;
  const std::string worker_token_;
  const security::RunTokens* const tokens_;
};

}  // namespace attune
