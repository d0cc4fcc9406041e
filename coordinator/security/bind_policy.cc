#include "coordinator/security/bind_policy.h"

#include "common/rpc/rpc.h"

namespace attune::security {

Status CheckBind(const Exposure& exposure) {
  if (rpc::IsLoopback(exposure.listen)) return Status();
  if (exposure.tls && exposure.token) return Status();
  std::string missing = !exposure.tls && !exposure.token ? "tls and token_file are"
                        : !exposure.tls                  ? "tls is"
                                                         : "token_file is";
  return FailedPrecondition("listen: " + exposure.listen +
                            " is reachable from other machines, but " + missing +
                            " not set: set both, or listen on 127.0.0.1");
}

}  // namespace attune::security
