#pragma once

// What every gRPC client and server of the project shares: status translation, channels, deadlines.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace attune::rpc {

// With google.rpc details: ErrorInfo (reason = code name, domain "attune"), and BadRequest when the
// status names a field.
grpc::Status ToGrpc(const Status& status);
Status FromGrpc(const grpc::Status& status);

// Where the coordinator is and how to speak to it.
struct Endpoint {
  std::string address;    // host:port
  std::string ca_file;    // PEM; non-empty: TLS
  std::string cert_file;  // client certificate for mutual TLS, with key_file
  std::string key_file;
  std::string token;  // sent as "authorization: Bearer", empty: none
};

// A channel with keepalive and limits set. Errors: unreadable certificate files.
Result<std::shared_ptr<grpc::Channel>> Connect(const Endpoint& endpoint);

// A context with a deadline (every call has one; for streams pass a long one) and the token.
std::unique_ptr<grpc::ClientContext> NewContext(const Endpoint& endpoint,
                                                std::chrono::milliseconds timeout);

// The token in the form that servers look for; an empty one adds nothing.
void AddToken(const std::string& token, grpc::ClientContext* context);

inline constexpr std::chrono::milliseconds kUnaryTimeout{10000};
inline constexpr int kMaxMessageBytes = 8 << 20;

// True for loopback addresses ("127.0.0.1:7070", "localhost:7070", "[::1]:7070", "unix:...").
bool IsLoopback(const std::string& address);

}  // namespace attune::rpc
