#include "worker/engine/parallel/backends.h"

#include <dlfcn.h>
#include <net/if.h>

#include <array>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace attune::engine {
namespace {

constexpr char kCudaModule[] = "libattune_cuda.so";

Result<void*> LoadCudaModule() {
  // Never closed: torch keeps registrations of the module until the process ends.
  static void* const module = dlopen(kCudaModule, RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) {
    return FailedPrecondition(
        std::string("no CUDA here: ") + kCudaModule +
        " cannot be loaded. Build with tools/build --cuda, or use device cpu");
  }
  return module;
}

Status LoadNothing() {
  return Status();
}
Status LoadCuda() {
  return LoadCudaModule().status();
}

Result<c10::intrusive_ptr<c10d::Backend>> OpenNone(const BackendRequest&) {
  return c10::intrusive_ptr<c10d::Backend>();
}

Result<c10::intrusive_ptr<c10d::Backend>> OpenNccl(const BackendRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(void* module, LoadCudaModule());
  auto open = reinterpret_cast<OpenNcclFunction>(dlsym(module, kOpenNcclSymbol));
  if (open == nullptr) return Internal(std::string(kCudaModule) + " has no " + kOpenNcclSymbol);
  return c10::intrusive_ptr<c10d::Backend>::reclaim(open(request));
}

struct DeviceRow {
  const char* type;
  Status (*load)();
  Result<c10::intrusive_ptr<c10d::Backend>> (*open)(const BackendRequest&);
};
constexpr std::array<DeviceRow, 2> kDevices = {
    {{"cpu", LoadNothing, OpenNone}, {"cuda", LoadCuda, OpenNccl}}};

Result<const DeviceRow*> FindDevice(const std::string& type) {
  for (const DeviceRow& row : kDevices) {
    if (type == row.type) return &row;
  }
  return InvalidArgument("unknown device type '" + type + "': use cpu or cuda:N");
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> OpenGloo(const BackendRequest& request) {
  const char* bind = std::getenv("ATTUNE_BIND_HOST");
  const std::string host = bind != nullptr && *bind != '\0' ? bind : "127.0.0.1";
  auto options = c10d::ProcessGroupGloo::Options::create(request.timeout);
  options->devices.push_back(if_nametoindex(host.c_str()) != 0
                                 ? c10d::ProcessGroupGloo::createDeviceForInterface(host)
                                 : c10d::ProcessGroupGloo::createDeviceForHostname(host));
  options->threads = 2;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(request.store, request.rank,
                                                     request.world_size, options);
}

Status LoadDeviceModule(const std::string& device_type) {
  ATTUNE_ASSIGN_OR_RETURN(const DeviceRow* row, FindDevice(device_type));
  return row->load();
}

Result<c10::intrusive_ptr<c10d::Backend>> OpenDeviceBackend(const std::string& device_type,
                                                            const BackendRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(const DeviceRow* row, FindDevice(device_type));
  return row->open(request);
}

}  // namespace attune::engine
