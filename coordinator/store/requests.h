#pragma once

// Mutations that are safe to repeat: the answer of a request is stored, in the transaction that did
// the work, under the id that the client chose. Kept for kRequestLifetime of a coordinator's
// running time: while it is away, or its wall clock jumps, no answer is forgotten that somebody
// still asks for.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator/store/database.h"

namespace attune {

inline constexpr std::chrono::hours kRequestLifetime{24 * 7};
inline constexpr size_t kRequestIdBytesMax = 128;

// The stored answer of an earlier request with this id, or nothing when it is new. content: the
// request's bytes; equal requests have equal ones, as no request has a map field. Errors:
// kAlreadyExists when the id was used for something else, kInvalidArgument for an id that is too
// long. An empty id is never found: the client does not retry.
Result<std::optional<std::string>> FindRequest(Transaction& transaction,
                                               const std::string& request_id,
                                               const std::string& method, std::string_view content);
// Stores the answer. Nothing happens for an empty id.
void SaveRequest(Transaction& transaction, const std::string& request_id, const std::string& method,
                 std::string_view content, std::string_view response);
// A request's bytes but for its id.
template <typename Request>
std::string ContentOf(Request request) {
  request.clear_request_id();
  return request.SerializeAsString();
}

// The answer that an earlier request with this id got, if any. Before checks against what there is
// now: it may have changed since.
template <typename Response, typename Request>
Result<std::optional<Response>> FindAnswer(Transaction& transaction, const std::string& method,
                                           const Request& request) {
  ATTUNE_ASSIGN_OR_RETURN(
      auto bytes, FindRequest(transaction, request.request_id(), method, ContentOf(request)));
  std::optional<Response> answer;
  if (bytes && !answer.emplace().ParseFromString(*bytes)) {
    return DataLoss("a stored answer cannot be read");
  }
  return answer;
}

// Runs work in a transaction unless an earlier request with this id has an answer; keeps the
// answer.
template <typename Response, typename Request>
Result<Response> Once(Database* database, const std::string& method, const Request& request,
                      const std::function<Result<Response>(Transaction&)>& work) {
  Response response;
  ATTUNE_RETURN_IF_ERROR(database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(auto earlier, FindAnswer<Response>(transaction, method, request));
    if (earlier) {
      response = std::move(*earlier);
      return Status();
    }
    ATTUNE_ASSIGN_OR_RETURN(response, work(transaction));
    SaveRequest(transaction, request.request_id(), method, ContentOf(request),
                response.SerializeAsString());
    return Status();
  }));
  return response;
}

// Says that the coordinator ran for another hour, and forgets answers past their lifetime.
void ExpireRequests(Transaction& transaction);

}  // namespace attune
