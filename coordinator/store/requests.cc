#include "coordinator/store/requests.h"

#include "common/base/hash.h"

namespace attune {

Result<std::optional<std::string>> FindRequest(Transaction& transaction,
                                               const std::string& request_id,
                                               const std::string& method,
                                               std::string_view content) {
  if (request_id.empty()) return std::optional<std::string>();
  if (request_id.size() > kRequestIdBytesMax) {
    return InvalidArgument("request_id is longer than " + std::to_string(kRequestIdBytesMax) +
                           " bytes")
        .WithField("request_id");
  }
  soci::session& sql = transaction.session();
  std::string stored_method, hash, response;
  sql << "SELECT method, request_hash, response FROM requests WHERE request_id = :id",
      soci::use(request_id), soci::into(stored_method), soci::into(hash), soci::into(response);
  if (!sql.got_data()) return std::optional<std::string>();
  if (stored_method != method || hash != Sha256Hex(content)) {
    return AlreadyExists("request id '" + request_id +
                         "' was already used for a different request: choose a new one");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string bytes, DecodeBytes(response));
  return std::optional<std::string>(std::move(bytes));
}

void SaveRequest(Transaction& transaction, const std::string& request_id, const std::string& method,
                 std::string_view content, std::string_view response) {
  if (request_id.empty()) return;
  std::string hash = Sha256Hex(content);
  std::string text = EncodeBytes(response);
  int64_t expires_us = ToMicros(transaction.now() + kRequestLifetime);
  transaction.session() << "INSERT INTO requests (request_id, method, request_hash, response, "
                           "expires_us) VALUES (:id, :method, :hash, :response, :expires)",
      soci::use(request_id), soci::use(method), soci::use(hash), soci::use(text),
      soci::use(expires_us);
}

void ExpireRequests(Transaction& transaction) {
  int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "DELETE FROM requests WHERE expires_us < :now", soci::use(now_us);
}

}  // namespace attune
