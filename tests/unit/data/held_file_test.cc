#include "worker/engine/data/held_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

TEST(HeldFile, KnowsAnotherThatWasGivenItsName) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  EXPECT_EQ(HeldFile::Open(path).status().code(), StatusCode::kNotFound);
  std::ofstream(path) << "first";
  const auto held = HeldFile::Open(path);
  ASSERT_TRUE(held.ok()) << held.status().ToString();
  EXPECT_TRUE(held->IsNamed());
  fs::remove(path);
  EXPECT_FALSE(held->IsNamed());
  std::ofstream(path) << "second";
  EXPECT_FALSE(held->IsNamed());
}

}  // namespace
}  // namespace attune::engine
