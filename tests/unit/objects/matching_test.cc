#include "coordinator/objects/matching.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include "coordinator/objects/object_source.h"
#include "tests/support/s3_server.h"
#include "tests/support/temporary_folder.h"

namespace attune::objects {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MatchingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("AWS_ACCESS_KEY_ID", "test", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    for (const char* file : {"top.jsonl", "in/b.jsonl", "in/a.jsonl", "in/notes.txt",
                             "in/sub/c.jsonl", "in/sub/.hidden.jsonl"}) {
      std::filesystem::create_directories((files_.path() / file).parent_path());
      files_.Write(file, std::string(file) + "\n");
    }
    server_ = S3Server::Start(files_.path());
    ASSERT_NE(server_, nullptr);
    ASSERT_TRUE(server_->Sync());
  }
  static void TearDownTestSuite() { std::atexit(ShutdownSources); }

  // The files, in order, or the error.
  std::vector<std::string> Read(const std::string& pattern) {
    std::vector<std::string> files;
    const Status status = ReadMatching(
        patience_, server_->Address(pattern), [&](const std::string& file, std::string_view bytes) {
          files.push_back(file);
          EXPECT_EQ("s3://live/" + std::string(bytes.substr(0, bytes.size() - 1)), file);
          return Status();
        });
    if (!status.ok()) files.push_back(std::string(StatusCodeName(status.code())));
    return files;
  }

  TemporaryFolder files_;
  std::unique_ptr<S3Server> server_;
  Patience patience_{std::chrono::seconds(30)};
};

TEST_F(MatchingTest, ReadsWhatMatchesByName) {
  EXPECT_THAT(Read("in/a.jsonl"), ElementsAre("s3://live/in/a.jsonl"));
  EXPECT_THAT(Read("top.jsonl"), ElementsAre("s3://live/top.jsonl"));
  EXPECT_THAT(Read("in/*.jsonl"), ElementsAre("s3://live/in/a.jsonl", "s3://live/in/b.jsonl"));
  EXPECT_THAT(Read("**/*.jsonl"), ElementsAre("s3://live/in/a.jsonl", "s3://live/in/b.jsonl",
                                              "s3://live/in/sub/c.jsonl", "s3://live/top.jsonl"));
  EXPECT_THAT(Read("in/sub/"), ElementsAre("s3://live/in/sub/c.jsonl"));
  EXPECT_THAT(Read("in/*.csv"), ElementsAre("NOT_FOUND"));
  EXPECT_THAT(Read("in/absent.jsonl"), ElementsAre("NOT_FOUND"));
}

TEST_F(MatchingTest, WhatTakeSaysEndsIt) {
  int calls = 0;
  const Status status = ReadMatching(patience_, server_->Address("in/*.jsonl"),
                                     [&](const std::string&, std::string_view) {
                                       ++calls;
                                       return Cancelled("nobody waits");
                                     });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(calls, 1);
}

TEST(Matching, SaysWhatIsWrongWithAnAddress) {
  const Patience patience(std::chrono::seconds(30));
  auto refused = [&](const std::string& address) {
    const Status status = ReadMatching(
        patience, address, [](const std::string&, std::string_view) { return Status(); });
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    return status.message();
  };
  EXPECT_THAT(refused("/etc/passwd"), HasSubstr("is not s3://BUCKET/KEY"));
  EXPECT_THAT(refused("s3://bucket"), HasSubstr("is not s3://BUCKET/KEY"));
  EXPECT_THAT(refused("s3://buck*/a"), HasSubstr("wildcard in its bucket"));
  EXPECT_THAT(refused("s3://KEY:SECRET@bucket/a"), HasSubstr("credentials"));
}

}  // namespace
}  // namespace attune::objects
