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

// Says whether a token came, and nothing of what would be a right one.
grpc::Status Refuse(std::string_view token, const std::string& hint) {
  const std::string what = token.empty() ? "no token was sent: " : "the token is not valid: ";
  return rpc::ToGrpc(Status(StatusCode::kUnauthenticated, what + hint));
}

grpc::Status Check(const std::string& expected, const grpc::ServerContextBase& context,
                   const char* hint) {
  const std::string_view token = TokenOf(context);
  if (expected.empty() || security::EqualTokens(expected, token)) return grpc::Status::OK;
  return Refuse(token, hint);
}

}  // namespace

grpc::Status Authenticator::CheckUser(const grpc::ServerContextBase& context) const {
  return Check(user_token_, context,
               "set ATTUNE_TOKEN or --token-file to the one in the coordinator's token_file");
}

grpc::Status Authenticator::CheckWorker(const grpc::ServerContextBase& context) const {
  return Check(worker_token_, context,
               "set token_file in the worker's configuration to the one that the coordinator "
               "has for workers (worker_token_file, or else token_file)");
}

grpc::Status Authenticator::CheckTrainer(const grpc::ServerContextBase& context,
                                         std::string* run) const {
  const std::string_view token = TokenOf(context);
  auto found = tokens_->RunOf(token);
  if (!found) {
    return Refuse(token, token.empty() ? "a trainer has that of its run from who started it"
                                       : "its run is over or unknown to the coordinator");
  }
  *run = *found;
  return grpc::Status::OK;
}

}  // namespace attune
