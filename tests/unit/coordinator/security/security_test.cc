#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "common/base/hash.h"
#include "coordinator/security/bind_policy.h"
#include "coordinator/security/tokens.h"
#include "tests/support/temporary_folder.h"

namespace attune::security {
namespace {

TEST(CheckBind, OtherAddressesNeedTlsAndAToken) {
  EXPECT_TRUE(CheckBind({"127.0.0.1:7070", false, false}).ok());
  EXPECT_TRUE(CheckBind({"localhost:7070", false, false}).ok());
  EXPECT_TRUE(CheckBind({"0.0.0.0:7070", true, true}).ok());
  for (const char* address : {"0.0.0.0:7070", "[::]:7070", "10.0.0.1:7070", "example.org:7070"}) {
    EXPECT_FALSE(CheckBind({address, false, false}).ok()) << address;
    EXPECT_FALSE(CheckBind({address, true, false}).ok()) << address;
    EXPECT_FALSE(CheckBind({address, false, true}).ok()) << address;
  }
}

TEST(BearerToken, TakesOnlyBearer) {
  EXPECT_EQ(BearerToken("Bearer abc"), "abc");
  EXPECT_EQ(BearerToken("Basic abc"), "");
  EXPECT_EQ(BearerToken(""), "");
}

TEST(RunTokens, GoodForOneRunUntilRemoved) {
  RunTokens tokens;
  tokens.Add(Sha256Hex("secret-1"), "job-a-g1");
  tokens.Add(Sha256Hex("secret-2"), "job-b-g1");
  EXPECT_EQ(tokens.RunOf("secret-1"), "job-a-g1");
  EXPECT_EQ(tokens.RunOf("secret-3"), std::nullopt);
  EXPECT_EQ(tokens.RunOf(""), std::nullopt);
  tokens.Remove("job-a-g1");
  EXPECT_EQ(tokens.RunOf("secret-1"), std::nullopt);
  EXPECT_EQ(tokens.RunOf("secret-2"), "job-b-g1");
}

class TokenFileTest : public testing::Test {
 protected:
  void Write(const std::string& content, mode_t mode) {
    std::ofstream(path_) << content;
    chmod(path_.c_str(), mode);
  }
  TemporaryFolder folder_;
  const std::string path_ = folder_.path() / "token";
};

TEST_F(TokenFileTest, OneLongLineThatIsNotPublic) {
  Write("0123456789abcdef\n", 0600);
  EXPECT_EQ(ReadTokenFile(path_).value(), "0123456789abcdef");
  Write("0123456789abcdef\n", 0644);
  EXPECT_EQ(ReadTokenFile(path_).status().code(), StatusCode::kFailedPrecondition);
  Write("short\n", 0600);
  EXPECT_EQ(ReadTokenFile(path_).status().code(), StatusCode::kInvalidArgument);
  Write("0123456789abcdef 0123\n", 0600);
  EXPECT_EQ(ReadTokenFile(path_).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(ReadTokenFile(path_ + ".missing").ok());
}

}  // namespace
}  // namespace attune::security
