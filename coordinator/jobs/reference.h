#pragma once

#include <cstdint>
#include <string>

namespace attune::jobs {

// How a version of a model or a data set is named: "name@3".
inline std::string Reference(const std::string& name, uint32_t version) {
  return name + "@" + std::to_string(version);
}

}  // namespace attune::jobs
