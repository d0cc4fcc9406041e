#include "tools/cli/client.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace attune::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kReadPatience{1500};  // a read fails fast: nothing is lost by asking again

// Why a call did not get through, as far as gRPC's message tells, and what to do about it.
std::string ExplainUnreachable(const rpc::Endpoint& endpoint, const std::string& message) {
  const std::string at = " the coordinator at " + endpoint.address;
  auto has = [&](const char* part) { return message.find(part) != std::string::npos; };
  if (has("andshake failed") || has("CERTIFICATE_VERIFY_FAILED") || has("WRONG_VERSION_NUMBER")) {
    return "no TLS connection to" + at + ": is " + endpoint.ca_file +
           " the CA of its certificate, made for this host name, and does it speak TLS?";
  }
  for (const char* known : {"Connection refused", "No route to host", "Network is unreachable",
                            "Connection timed out", "DNS resolution failed"}) {
    if (!has(known)) continue;
    return "cannot reach" + at + " (" + known + "): start one with `attune up`, or set --address";
  }
  const bool closed = has("Socket closed") || has("Connection reset") || has("Broken pipe");
  if (closed && !endpoint.ca_file.empty()) {
    return "no connection to" + at +
           ", which closes it: does it want a client certificate that its CA has signed (--cert "
           "and "
           "--key)?";
  }
  const char* tls = endpoint.ca_file.empty() ? "; one that speaks TLS needs --ca" : "";
  return "cannot reach" + at + ": start one with `attune up`, or set --address" + tls;
}

bool CameFromServer(const grpc::Status& status) {
  return !status.error_details().empty();
}

}  // namespace

milliseconds Backoff::Next() {
  milliseconds whole = next_;
  next_ = std::min(next_ * 2, kMost);
  return whole / 2 + milliseconds(random_.Below(static_cast<uint64_t>(whole.count() / 2 + 1)));
}

Client::Client(rpc::Endpoint endpoint, milliseconds timeout, std::function<void()> on_away,
               const std::shared_ptr<grpc::Channel>& channel)
    : endpoint_(std::move(endpoint)),
      timeout_(timeout),
      on_away_(std::move(on_away)),
      jobs_(v1::JobService::NewStub(channel)),
      datasets_(v1::DatasetService::NewStub(channel)),
      models_(v1::ModelService::NewStub(channel)),
      drift_(v1::DriftService::NewStub(channel)),
      nodes_(v1::NodeService::NewStub(channel)),
      schedules_(v1::ScheduleService::NewStub(channel)),
      cluster_(v1::ClusterService::NewStub(channel)) {}

Result<std::unique_ptr<Client>> Client::Connect(const rpc::Endpoint& endpoint, milliseconds timeout,
                                                std::function<void()> on_away) {
  ATTUNE_ASSIGN_OR_RETURN(auto channel, rpc::Connect(endpoint));
  return std::unique_ptr<Client>(new Client(endpoint, timeout, std::move(on_away), channel));
}

Status Client::Retry(bool mutation, milliseconds timeout, const Attempt& attempt) {
  const auto deadline = steady_clock::now() + timeout;
  const auto patience =
      steady_clock::now() + (mutation ? timeout_ : std::min(timeout_, kReadPatience));
  Backoff backoff(static_cast<uint64_t>(getpid()));
  for (bool first = true;; first = false) {
    auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    auto context = rpc::NewContext(endpoint_, std::max(left, milliseconds(1)));
    grpc::Status status = attempt(context.get());
    milliseconds wait = backoff.Next();
    bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!again || steady_clock::now() + wait >= patience) return Explain(status);
    if (first && mutation && on_away_) on_away_();
    std::this_thread::sleep_for(wait);
  }
}

Status Client::Explain(const grpc::Status& status) const {
  Status plain = rpc::FromGrpc(status);
  if (CameFromServer(status)) return plain;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return Unavailable(ExplainUnreachable(endpoint_, status.error_message()));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return DeadlineExceeded("no answer from the coordinator at " + endpoint_.address +
                              " in time: try again, or give it longer with --timeout");
    case grpc::StatusCode::UNIMPLEMENTED:
      return FailedPrecondition(
          "the coordinator at " + endpoint_.address +
          " does not know this request: is it of this version? (`attune doctor`)");
    case grpc::StatusCode::UNAUTHENTICATED:
      return Status(StatusCode::kUnauthenticated,
                    plain.message() + ": give a token with --token-file or ATTUNE_TOKEN");
    default:
      return plain;
  }
}

}  // namespace attune::cli
