#pragma once

// The whole coordinator, put together: store, registry, controller, services, metrics.

#include <memory>
#include <string>

#include "coordinator/config.h"

namespace attune {

class CoordinatorServer {
 public:
  // Opens the state and serves. Errors say what to change: a storage in use, a port taken, an
  // address that must not be listened on without TLS and a token, a damaged database.
  static Result<std::unique_ptr<CoordinatorServer>> Start(const CoordinatorConfig& config);
  // Ends streams, finishes calls (2 s at most), stops the threads. Trainers go on.
  ~CoordinatorServer();

  const std::string& address() const;          // with the port that was bound
  const std::string& metrics_address() const;  // empty: none

 private:
  struct Parts;
  explicit CoordinatorServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace attune
