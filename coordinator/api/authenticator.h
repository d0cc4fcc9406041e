#pragma once

// Who is calling, by the call's bearer token, and whether they may. Thread-safe.

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "coordinator/security/tokens.h"
#include "coordinator/security/users.h"

namespace attune {

class Authenticator {
 public:
  // users: as security::MakeUsers made them. An empty worker token lets every worker in. tokens
  // outlives the object.
  Authenticator(std::vector<security::User> users, std::string worker_token,
                const security::RunTokens* tokens)
      : users_(std::move(users)), worker_token_(std::move(worker_token)), tokens_(tokens) {}
  // One user with every role; an empty token lets everyone in (a coordinator on loopback). A worker
  // without a token of its own uses the user's.
  Authenticator(const std::string& user_token, const std::string& worker_token,
                const security::RunTokens* tokens);

  // OK, or UNAUTHENTICATED with what to do. caller, unless null, is who it is.
  grpc::Status CheckUser(const grpc::ServerContextBase& context,
                         security::Caller* caller = nullptr) const;
  // The same, and PERMISSION_DENIED, with who may, for one without the role.
  grpc::Status CheckUser(const grpc::ServerContextBase& context, std::string_view role,
                         security::Caller* caller) const;
  grpc::Status CheckWorker(const grpc::ServerContextBase& context) const;
  // The run that the caller is a trainer of, or UNAUTHENTICATED: the run has ended or never was.
  grpc::Status CheckTrainer(const grpc::ServerContextBase& context, std::string* run) const;

 private:
  const std::vector<security::User> users_;
  const std::string worker_token_;
  const security::RunTokens* const tokens_;
};

}  // namespace attune
