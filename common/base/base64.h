#pragma once

#include <string>
#include <string_view>

namespace attune {

// RFC 4648, with padding: what JSON of protobuf has for bytes.
std::string Base64(std::string_view bytes);

}  // namespace attune
