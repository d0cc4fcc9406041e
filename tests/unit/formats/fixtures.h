#pragma once

// Files that tests/parity/formats/make_fixtures.py made, and reading tensors by
// name.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {

inline std::filesystem::path Fixture(const std::string& name) {
  return std::filesystem::path("tests/parity/formats/fixtures") / name;
}

inline std::vector<float> Read(const WeightSource& source, const std::string& name) {
  auto info = source.tensors().find(name);
  if (info == source.tensors().end()) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  std::vector<float> out(static_cast<size_t>(info->second.elements()));
  Status status = source.ReadFloat(name, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

// Every tensor of expected is in actual with the same shape and the same bits, and no other is.
inline void ExpectSameTensors(const WeightSource& actual, const WeightSource& expected) {
  EXPECT_EQ(actual.tensors().size(), expected.tensors().size());
  for (const auto& [name, info] : expected.tensors()) {
    SCOPED_TRACE(name);
    auto found = actual.tensors().find(name);
    ASSERT_NE(found, actual.tensors().end());
    EXPECT_EQ(found->second.shape, info.shape);
    std::vector<float> a = Read(actual, name), b = Read(expected, name);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]))
          << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
}

}  // namespace attune::engine
