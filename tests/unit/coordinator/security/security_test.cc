#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "common/base/hash.h"
#include "coordinator/security/bind_policy.h"
#include "coordinator/security/tokens.h"
#include "coordinator/security/users.h"
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

constexpr char kShared[] = "shared-0123456789", kAlice[] = "alice-0123456789",
               kBob[] = "bob-0123456789ab";

Caller CallerOf(const std::vector<User>& users, const char* token) {
  const User* user = FindUser(users, token);
  EXPECT_NE(user, nullptr) << token;
  return user == nullptr ? Caller() : Caller{user->name, user->roles};
}

TEST(Users, WithoutTokensEveryoneMayDoEverything) {
  const auto users = *MakeUsers("", {});
  for (const char* token : {"", "anything"}) {
    EXPECT_EQ(CallerOf(users, token).actor(), "user:user");
    EXPECT_TRUE(CheckRole(users, CallerOf(users, token), kPromoter).ok());
  }
}

TEST(Users, TheSharedTokenPromotesUntilAPromoterIsNamed) {
  for (const auto& users : {*MakeUsers(kShared, {}), *MakeUsers(kShared, {{"bob", kBob, {}}})}) {
    EXPECT_TRUE(CheckRole(users, CallerOf(users, kShared), kPromoter).ok());
    EXPECT_EQ(FindUser(users, ""), nullptr);
    EXPECT_EQ(FindUser(users, "shared-012345678"), nullptr);
  }
  const auto users = *MakeUsers(kShared, {{"alice", kAlice, {kPromoter}}, {"bob", kBob, {kUser}}});
  EXPECT_TRUE(CheckRole(users, CallerOf(users, kAlice), kPromoter).ok());
  EXPECT_TRUE(CheckRole(users, CallerOf(users, kAlice), kUser).ok());
  EXPECT_EQ(CallerOf(users, kAlice).actor(), "user:alice");
  for (const char* token : {kShared, kBob}) {
    const Status denied = CheckRole(users, CallerOf(users, token), kPromoter);
    EXPECT_EQ(denied.code(), StatusCode::kPermissionDenied);
    EXPECT_NE(denied.message().find("which alice has"), std::string::npos) << denied.message();
  }
}

TEST(Users, NamedOnesAloneLetNobodyElseIn) {
  const auto users = *MakeUsers("", {{"bob", kBob, {}}});
  EXPECT_EQ(FindUser(users, ""), nullptr);
  EXPECT_EQ(CallerOf(users, kBob).name, "bob");
  EXPECT_FALSE(CheckRole(users, CallerOf(users, kBob), kPromoter).ok());
}

TEST(Users, RefusesWhatIsAmbiguous) {
  const auto message = [](const std::string& shared, std::vector<User> named) {
    auto users = MakeUsers(shared, std::move(named));
    EXPECT_EQ(users.status().code(), StatusCode::kInvalidArgument);
    return users.status().message();
  };
  EXPECT_NE(message("", {{"a", kBob, {}}, {"a", kAlice, {}}}).find("twice"), std::string::npos);
  EXPECT_NE(message(kBob, {{"a", kBob, {}}}).find("same token"), std::string::npos);
  EXPECT_NE(message("", {{"user", kBob, {}}}).find("\"user\""), std::string::npos);
  EXPECT_NE(message("", {{"A b", kBob, {}}}).find("\"A b\""), std::string::npos);
  EXPECT_NE(message("", {{"a", kBob, {"root"}}}).find("\"root\""), std::string::npos);
}

}  // namespace
}  // namespace attune::security
