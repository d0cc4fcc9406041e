#include "coordinator/api/authenticator.h"

#include "common/log/log.h"
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

}  // namespace

Authenticator::Authenticator(const std::string& user_token, const std::string& worker_token,
                             const security::RunTokens* tokens)
    : users_({{security::kSharedUser, user_token, {security::kUser, security::kPromoter}}}),
      worker_token_(worker_token.empty() ? user_token : worker_token),
      tokens_(tokens) {}

grpc::Status Authenticator::CheckUser(const grpc::ServerContextBase& context,
                                      security::Caller* caller) const {
  const std::string_view token = TokenOf(context);
  const security::User* user = security::FindUser(users_, token);
  if (user == nullptr) {
    return Refuse(token,
                  "set ATTUNE_TOKEN or --token-file to the one in the coordinator's token_file, or "
                  "to yours of its users");
  }
  if (caller != nullptr) *caller = {user->name, user->roles};
  return grpc::Status::OK;
}

grpc::Status Authenticator::CheckUser(const grpc::ServerContextBase& context, std::string_view role,
                                      security::Caller* caller) const {
  grpc::Status known = CheckUser(context, caller);
  if (!known.ok()) return known;
  const Status may = security::CheckRole(users_, *caller, role);
  if (!may.ok()) spdlog::warn("peer={} is denied: {}", context.peer(), may.message());
  return rpc::ToGrpc(may);
}

grpc::Status Authenticator::CheckWorker(const grpc::ServerContextBase& context) const {
  const std::string_view token = TokenOf(context);
  if (worker_token_.empty() || security::EqualTokens(worker_token_, token)) return grpc::Status::OK;
  return Refuse(token,
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
