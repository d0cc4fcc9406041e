#include "coordinator/api/authenticator.h"

#include "common/rpc/rpc.h"

namespace attune {
namespace {

std::string_view TokenOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  auto found = metadata.find("authorization");
  if (found == metadata.end()) return {};
  return security::BearerToken({found->second.data(), found->second.size()});
}

grpc::Status Check(const std::string& expected, const grpc::ServerContextBase& context,
                   const char* hint) {
  if (expected.empty() || security::EqualTokens(expected, TokenOf(context))) {
    return grpc::Status::OK;
  }
  return rpc::ToGrpc(Status(StatusCode::kUnauthenticated, hint));
}

}  // namespace

grpc::Status Authenticator::CheckUser(const grpc::ServerContextBase& context) const {
  return Check(user_token_, context,
               "this coordinator wants a token: set ATTUNE_TOKEN or --token-file to the one in the "
               "coordinator's token_file");
}

grpc::Status Authenticator::CheckWorker(const grpc::ServerContextBase& context) const {
  return Check(worker_token_, context,
               "this coordinator wants a token from workers: set token_file in the worker's "
               "configuration");
}

grpc::Status Authenticator::CheckTrainer(const grpc::ServerContextBase& context,
                                         std::string* run) const {
  auto found = tokens_->RunOf(TokenOf(context));
  if (!found) {
    return rpc::ToGrpc(Status(StatusCode::kUnauthenticated,
                              "the run of this token is over or unknown to the coordinator"));
  }
  *run = *found;
  return grpc::Status::OK;
}

}  // namespace attune
