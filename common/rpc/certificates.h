#pragma once

// TLS from PEM files that are read again when they change: a certificate that was renewed needs no
// restart. Connections that are open keep the one they were made with.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace attune::rpc {

struct PemFiles {
  std::string ca;    // whom to trust
  std::string cert;  // what to show, with key
  std::string key;
};

// A client needs ca; a server cert and key, and with ca it wants clients to show a certificate.
// Errors: a file that is named and unreadable.
Result<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(
    const PemFiles& files, std::chrono::seconds refresh = std::chrono::seconds(60));
Result<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(
    const PemFiles& files, std::chrono::seconds refresh = std::chrono::seconds(60));

// When the first certificate of a PEM file ends to be valid.
Result<TimePoint> CertificateExpiry(const std::string& path);

}  // namespace attune::rpc
