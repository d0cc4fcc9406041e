#pragma once

// Where libtorch's exceptions end: every public function of the engine runs inside Guarded.

#include <exception>

#include "common/base/status.h"

namespace attune::engine {

// kInternal, in one line. Memory that cannot be had is that too, with what helps:
// kResourceExhausted would say that the disk is full.
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
