#include "coordinator/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  Result<CoordinatorConfig> Read(const std::string& text) {
    std::ofstream(folder_.path() / "c.yaml") << text;
    return ReadCoordinatorConfig(folder_.path() / "c.yaml");
  }
  TemporaryFolder folder_;
};

TEST_F(ConfigTest, PathsAreRelativeToTheFile) {
  auto config = Read("storage: data\ntls: {cert: c.pem, key: /etc/k.pem}\nlost_after: 1m\n");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->storage, folder_.path() / "data");
  EXPECT_EQ(config->tls_cert, folder_.path() / "c.pem");
  EXPECT_EQ(config->tls_key, "/etc/k.pem");
  EXPECT_EQ(config->lost_after, std::chrono::minutes(1));
}

TEST_F(ConfigTest, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"listen: 127.0.0.1:1\n", "storage"},
           Case{"storage: s\nlisten: nowhere\n", "c.yaml:2:"},
           Case{"storage: s\nlog_level: loud\n", "log_level"},
           Case{"storage: s\nlost_after: 200s\nheartbeat_interval: 61s\n", "heartbeat_interval"},
           Case{"storage: s\nlost_after: 3s\nheartbeat_interval: 2s\n", "twice"},
           Case{"storage: s\nforget_lost_after: 5s\n", "at least lost_after"},
           Case{"storage: s\nlisten_on: x\n", "unknown key 'listen_on'"},
           Case{"storage: s\ntls: {cert: a}\n", "key"},
           Case{"storage: s\ntoken_file: t\nusers: [{name: a}]\n", "users[0].token_file"},
           Case{"storage: s\ntoken_file: t\nusers: [{name: a, token_file: b, roles: [root]}]\n",
                "promoter"},
           Case{"storage: s\nusers: [{name: a, token_file: b}]\n", "worker_token_file"},
       }) {
    auto config = Read(c.text);
    ASSERT_FALSE(config.ok()) << c.text;
    EXPECT_EQ(config.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(config.status().message(), HasSubstr(c.message));
  }
  EXPECT_EQ(ReadCoordinatorConfig(folder_.path() / "none.yaml").status().code(),
            StatusCode::kNotFound);
}

TEST_F(ConfigTest, UsersHaveTokensOfTheirOwn) {
  auto config = Read(
      "storage: s\ntoken_file: t\nusers:\n- {name: alice, token_file: a, roles: [promoter]}\n"
      "- {name: bob, token_file: /etc/b}\n");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ASSERT_EQ(config->users.size(), 2u);
  EXPECT_EQ(config->users[0].name, "alice");
  EXPECT_EQ(config->users[0].token_file, folder_.path() / "a");
  EXPECT_EQ(config->users[0].roles, std::vector<std::string>{"promoter"});
  EXPECT_EQ(config->users[1].token_file, "/etc/b");
  EXPECT_TRUE(config->users[1].roles.empty());
}

TEST(SampleConfig, IsValidAndShowsTheDefaults) {
  auto config = ReadCoordinatorConfig("configs/clusters/coordinator.yaml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  const CoordinatorConfig defaults;
  EXPECT_EQ(config->listen, defaults.listen);
  EXPECT_EQ(config->metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(config->metrics_public, defaults.metrics_public);
  EXPECT_EQ(config->heartbeat_interval, defaults.heartbeat_interval);
  EXPECT_EQ(config->lost_after, defaults.lost_after);
  EXPECT_EQ(config->attach_timeout, defaults.attach_timeout);
  EXPECT_EQ(config->reattach_timeout, defaults.reattach_timeout);
  EXPECT_EQ(config->pause_timeout, defaults.pause_timeout);
  EXPECT_EQ(config->pause_limit, defaults.pause_limit);
  EXPECT_EQ(config->progress_timeout, defaults.progress_timeout);
  EXPECT_EQ(config->forget_lost_after, defaults.forget_lost_after);
  EXPECT_EQ(config->keep_checkpoints, defaults.keep_checkpoints);
  EXPECT_EQ(config->log_level, defaults.log_level);
}

}  // namespace
}  // namespace attune
