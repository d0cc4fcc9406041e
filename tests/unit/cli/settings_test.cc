#include "tools/cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/cli/cli_runner.h"
#include "tools/cli/cluster_file.h"

namespace attune::cli {
namespace {

using ::testing::HasSubstr;

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() {
    cli_.SetEnv("HOME", folder_.path());
    cli_.SetEnv("ATTUNE_HOME", folder_.path().string() + "/home");
    std::filesystem::create_directories(folder_.path().string() + "/home");
    cli_.SetEnv("ATTUNE_CONFIG", folder_.path().string() + "/config.yaml");
  }
  Result<Settings> Resolve(const std::map<std::string, std::string>& flags = {}) {
    std::map<std::string, std::vector<std::string>> values;
    for (const auto& [key, value] : flags) values[key] = {value};
    return ResolveSettings(Arguments(values), cli_.MakeIo());
  }
  void WriteConfig() {
    folder_.Write("token", "secret\n");
    folder_.Write(
        "config.yaml",
        "current: lab\ncontexts:\n  lab: {address: \"lab:1\", ca: ca.pem, token_file: token}\n"
        "  other: {address: \"other:2\"}\n");
  }

  TemporaryFolder folder_;
  CliRunner cli_;
};

TEST_F(SettingsTest, EachSourceWinsOverTheOnesBelow) {
  EXPECT_EQ(Resolve()->endpoint.address, "127.0.0.1:7070");
  ASSERT_TRUE(WriteClusterFile(folder_.path().string() + "/home",
                               {.port = 4321, .metrics_port = 4322, .workers = 1})
                  .ok());
  EXPECT_EQ(Resolve()->endpoint.address, "127.0.0.1:4321");
  WriteConfig();
  auto lab = Resolve();
  ASSERT_TRUE(lab.ok()) << lab.status().message();
  EXPECT_EQ(lab->endpoint.address, "lab:1");
  EXPECT_EQ(lab->endpoint.ca_file, folder_.path().string() + "/ca.pem");
  EXPECT_EQ(lab->endpoint.token, "secret");
  EXPECT_EQ(Resolve({{"--context", "other"}})->endpoint.address, "other:2");
  cli_.SetEnv("ATTUNE_ADDRESS", "env:3");
  EXPECT_EQ(Resolve()->endpoint.address, "env:3");
  EXPECT_EQ(Resolve()->source, "ATTUNE_ADDRESS");
  EXPECT_EQ(Resolve({{"--address", "flag:4"}})->endpoint.address, "flag:4");
}

TEST_F(SettingsTest, AnAddressByHandGetsNoTokenOfAnotherCluster) {
  WriteConfig();
  EXPECT_EQ(Resolve({{"--address", "flag:4"}})->endpoint.token, "");
}

TEST_F(SettingsTest, TokenOfTheEnvironment) {
  cli_.SetEnv("ATTUNE_TOKEN", "abc");
  EXPECT_EQ(Resolve()->endpoint.token, "abc");
  EXPECT_EQ(Resolve({{"--token-file", folder_.Write("t", "def\n")}})->endpoint.token, "def");
  EXPECT_FALSE(Resolve({{"--token-file", folder_.path().string() + "/absent"}}).ok());
}

TEST_F(SettingsTest, MistakesAreNamed) {
  folder_.Write("config.yaml", "curent: lab\n");
  EXPECT_THAT(Resolve().status().message(),
              HasSubstr("unknown key 'curent'; did you mean 'current'?"));
  WriteConfig();
  EXPECT_THAT(Resolve({{"--context", "nope"}}).status().message(), HasSubstr("no context 'nope'"));
  EXPECT_THAT(Resolve({{"--address", "a:1"}, {"--cert", "c"}}).status().message(),
              HasSubstr("both --cert and --key"));
}

}  // namespace
}  // namespace attune::cli
