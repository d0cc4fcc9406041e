#pragma once

// Which c10d backend moves gradients, by device type. Includes c10d: for parallel/ and cuda/ only.

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "common/base/status.h"

namespace attune::engine {

struct BackendRequest {
  c10::intrusive_ptr<c10d::Store> store;
  int rank = 0;
  int world_size = 1;
  int device_index = 0;  // of the device type, e.g. 3 for cuda:3
  std::chrono::milliseconds timeout{60000};
};

// Gloo over TCP. Binds to ATTUNE_BIND_HOST (an interface, host name or address; loopback when
// unset). Throws what c10d throws when the ranks do not meet within the timeout.
c10::intrusive_ptr<c10d::Backend> OpenGloo(const BackendRequest& request);

// Loads what a device needs before the first tensor on it: nothing for "cpu", the CUDA module for
// "cuda". kFailedPrecondition when this build or machine has no such device.
Status LoadDeviceModule(const std::string& device_type);

// The backend for tensors on that device; null when the control group's Gloo serves ("cpu").
Result<c10::intrusive_ptr<c10d::Backend>> OpenDeviceBackend(const std::string& device_type,
                                                            const BackendRequest& request);

// What the CUDA module (libattune_cuda.so, built with ATTUNE_CUDA) exports: a new reference to a
// NCCL backend. Throws as c10d does.
using OpenNcclFunction = c10d::Backend* (*)(const BackendRequest& request);
inline constexpr char kOpenNcclSymbol[] = "attune_open_nccl";

}  // namespace attune::engine
