#pragma once

// Files that tests/parity/formats/make_fixtures.py made, a scratch folder, and reading tensors by
// name.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "worker/engine/formats/weights.h"

namespace attune::engine {

inline std::filesystem::path Fixture(const std::string& name) {
  return std::filesystem::path("tests/parity/formats/fixtures") / name;
}

// A fresh folder that is removed with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = testing::TempDir() + "/attune-formats-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path Write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

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
