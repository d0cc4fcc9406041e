#include "common/base/hash.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

TEST(Sha256, EqualsTheStandardsVectors) {
  // FIPS 180-4, examples of NIST.
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  pieces.Update("a");
  pieces.Update("");
  pieces.Update("bc");
  EXPECT_EQ(pieces.Hex(), Sha256Hex("abc"));
}

TEST(Sha256, OfAFile) {
  TemporaryFolder folder;
  std::string content(3'000'000, 'x');
  const std::string path = folder.Write("x", content);
  EXPECT_EQ(*Sha256OfFile(path), Sha256Hex(content));
  std::filesystem::remove(path);
  EXPECT_EQ(Sha256OfFile(path).status().code(), StatusCode::kNotFound);
}

TEST(Random, IsTheSameEverywhere) {
  // The first numbers of splitmix64 from seed 0, from the authors' reference program.
  Random random(0);
  EXPECT_EQ(random.Next(), 0xe220a8397b1dcdafull);
  EXPECT_EQ(random.Next(), 0x6e789e6aa1b965f4ull);
  EXPECT_EQ(random.Next(), 0x06c45d188009454full);
}

TEST(Random, BelowIsInRangeAndCoversIt) {
  Random random(7);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    uint64_t value = random.Below(5);
    ASSERT_LT(value, 5u);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(random.Below(1), 0u);
}

TEST(NewId, IsUniqueAndPlain) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewId("job"));
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 16u);
    EXPECT_EQ(id.substr(0, 4), "job-");
    EXPECT_EQ(id.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz", 4), std::string::npos) << id;
  }
  EXPECT_EQ(NewToken().size(), 64u);
  EXPECT_NE(NewToken(), NewToken());
}

}  // namespace
}  // namespace attune
