#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "worker/engine/parallel/backends.h"

namespace attune::engine::testing {

// Why no tensor can be made on a GPU here: a build without the CUDA module, or no GPU. Empty when
// one can.
inline const std::string& WhyNoGpu() {
  static const std::string why = []() -> std::string {
    const Status loaded = LoadDeviceModule("cuda");
    if (!loaded.ok()) return loaded.message();
    try {
      at::zeros({1}, at::kCUDA);
      return "";
    } catch (const std::exception& error) {
      const std::string what = error.what();
      return what.substr(0, what.find('\n'));
    }
  }();
  return why;
}

}  // namespace attune::engine::testing

#define SKIP_WITHOUT_GPU() \
  if (const auto& why = ::attune::engine::testing::WhyNoGpu(); !why.empty()) GTEST_SKIP() << why
