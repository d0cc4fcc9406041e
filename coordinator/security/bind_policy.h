#pragma once

#include <string>

#include "common/base/status.h"

namespace attune::security {

// What a coordinator would serve on.
struct Exposure {
  std::string listen;  // host:port
  bool tls = false;
  bool token = false;
};

// OK, or why it must not listen there: any address but loopback needs TLS and a token.
Status CheckBind(const Exposure& exposure);

}  // namespace attune::security
