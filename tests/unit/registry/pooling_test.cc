#include "coordinator/models/pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "tests/support/temporary_folder.h"

namespace attune::models {
namespace {

using ::testing::HasSubstr;

class PoolingTest : public ::testing::Test {
 protected:
  void Write(const std::string& modules, const std::string& pooling = "") {
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / "modules.json", modules).ok());
    if (pooling.empty()) return;
    ASSERT_TRUE(CreateFolders(folder_.path() / "1_Pooling").ok());
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / "1_Pooling/config.json", pooling).ok());
  }
  Status Check() { return CheckPooling(folder_.path()); }

  TemporaryFolder folder_;
};

constexpr char kModules[] =
    R"([{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}])";

TEST_F(PoolingTest, AModelWithoutModulesHasNothingToCheck) {
  EXPECT_TRUE(Check().ok());
}

TEST_F(PoolingTest, TheMeanOverTokensIsTaken) {
  Write(kModules, R"({"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true,
                      "pooling_mode_cls_token": false})");
  EXPECT_TRUE(Check().ok()) << Check().ToString();
}

TEST_F(PoolingTest, OtherPoolingIsRefusedByItsKey) {
  Write(kModules, R"({"pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true})");
  EXPECT_EQ(Check().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(Check().message(), HasSubstr("only the mean over tokens is supported"));
  EXPECT_THAT(Check().message(), HasSubstr("1_Pooling/config.json: pooling_mode_"));
}

TEST_F(PoolingTest, TheNewerFormNamesItsMode) {
  Write(kModules, R"({"embedding_dimension": 384, "pooling_mode": "mean"})");
  EXPECT_TRUE(Check().ok()) << Check().ToString();
  Write(kModules, R"({"embedding_dimension": 384, "pooling_mode": "cls"})");
  EXPECT_THAT(Check().message(), HasSubstr("pooling_mode is \"cls\""));
}

TEST_F(PoolingTest, PoolingThatIsNotSaidIsNotGuessed) {
  Write(kModules);
  EXPECT_FALSE(Check().ok());
  Write(kModules, R"({"word_embedding_dimension": 384})");
  EXPECT_THAT(Check().message(), HasSubstr("names no pooling_mode"));
}

TEST_F(PoolingTest, OtherModulesAreRefusedByTheirType) {
  Write(R"([{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])");
  EXPECT_THAT(Check().message(), HasSubstr("\"Dense\" is not supported"));
}

TEST_F(PoolingTest, DamagedModulesAreRefused) {
  for (const char* text : {"{", "{}", "[1]", "[{\"type\": 3}]"}) {
    Write(text);
    EXPECT_EQ(Check().code(), StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace attune::models
