#include "worker/engine/tasks/failure.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

namespace attune::engine {
namespace {

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

bool IsOutOfMemory(const std::exception& error, const std::string& what) {
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
         what.find("can't allocate memory") != std::string::npos;
}

}  // namespace

Status FailureStatus(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string what =
      FirstLine(torch_error != nullptr ? torch_error->what_without_backtrace() : error.what());
  if (IsOutOfMemory(error, what)) {
    return Internal("out of memory: " + what +
                    ". Lower train.micro_batch or train.sequence_length, set "
                    "train.activation_checkpointing, or use method lora");
  }
  return Internal(what);
}

}  // namespace attune::engine
