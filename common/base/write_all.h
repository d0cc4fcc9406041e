#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune {

// All bytes to a file descriptor, however few of them a call takes. what: for the error, such as
// "write FILE".
Status WriteAll(int fd, std::string_view bytes, const std::string& what);

}  // namespace attune
