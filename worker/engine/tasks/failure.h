#pragma once

// Where libtorch's exceptions end: every public function of the engine runs inside Guarded.

#include <exception>

#include "common/base/status.h"

namespace attune::engine {

// kResourceExhausted for memory that cannot be had, else kInternal; one line.
Status FailureStatus(const std::exception& error);

template <typename Function>
auto Guarded(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& error) {
    return FailureStatus(error);
  }
}

}  // namespace attune::engine
