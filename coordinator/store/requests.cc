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
  transaction.session() << "INSERT INTO requests (request_id, method, request_hash, response, "
                           "saved_hour) SELECT :id, :method, :hash, :response, hours FROM "
                           "running_hours",
      soci::use(request_id), soci::use(method), soci::use(hash), soci::use(text);
}

void ExpireRequests(Transaction& transaction) {
  const auto kept = static_cast<int64_t>(kRequestLifetime.count());
  transaction.session() << "UPDATE running_hours SET hours = hours + 1";
  transaction.session()
      << "DELETE FROM requests WHERE saved_hour < (SELECT hours FROM running_hours) - :kept",
      soci::use(kept);
}

}  // namespace attune
