#include "coordinator/curation/signature_file.h"

#include <gmock/gmock.h>

#include "common/base/hash.h"

namespace attune::curation {
namespace {

using ::testing::HasSubstr;

class SignatureFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* text : {"one", "two", "three"}) signatures_.push_back(SignatureOf(text));
    bytes_ = FormatSignatureFile(shard_, signatures_);
  }
  Result<std::span<const Signature>> Parse(const std::string& bytes) const {
    return ParseSignatureFile(std::as_bytes(std::span(bytes)), shard_);
  }

  const std::string shard_ = Sha256Hex("a shard");
  std::vector<Signature> signatures_;
  std::string bytes_;
};

TEST_F(SignatureFileTest, GivesBackWhatWasWritten) {
  Result<std::span<const Signature>> read = Parse(bytes_);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(std::vector<Signature>(read->begin(), read->end()), signatures_);
  const std::string empty = FormatSignatureFile(shard_, {});
  EXPECT_EQ(Parse(empty)->size(), 0u);
}

TEST_F(SignatureFileTest, RefusesAnyChangedOrMissingByte) {
  for (size_t i = 0; i < bytes_.size(); ++i) {
    std::string changed = bytes_;
    changed[i] ^= 1;
    EXPECT_EQ(Parse(changed).status().code(), StatusCode::kDataLoss) << i;
    EXPECT_EQ(Parse(bytes_.substr(0, i)).status().code(), StatusCode::kDataLoss) << i;
  }
  EXPECT_EQ(Parse(bytes_ + "0").status().code(), StatusCode::kDataLoss);
}

TEST_F(SignatureFileTest, RefusesThoseOfAnotherShard) {
  Status status =
      ParseSignatureFile(std::as_bytes(std::span(bytes_)), Sha256Hex("another")).status();
  EXPECT_THAT(status.message(), HasSubstr("of another shard"));
}

}  // namespace
}  // namespace attune::curation
