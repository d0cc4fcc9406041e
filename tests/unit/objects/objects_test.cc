#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "coordinator/objects/object_source.h"
#include "coordinator/objects/timely_source.h"
#include "tests/support/s3_server.h"
#include "tests/support/temporary_folder.h"

namespace attune::objects {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Names(ObjectSource& source) {
  auto objects = source.List(".jsonl");
  EXPECT_TRUE(objects.ok()) << objects.status().message();
  std::vector<std::string> names;
  if (objects.ok()) {
    for (const Object& object : *objects) names.push_back(object.name);
  }
  return names;
}

std::string Content(ObjectSource& source, const std::string& name) {
  std::string content;
  Status status = source.Read(name, [&](std::string_view bytes) {
    content += bytes;
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.message();
  return content;
}

void SetCredentials() {
  setenv("AWS_ACCESS_KEY_ID", "test", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
  setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

// The client cannot be started a second time in a process.
void ShutdownAtEnd() {
  std::atexit(ShutdownSources);
}

// A source over the same files, in a folder and in a bucket.
class SourceTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(files_.path() / "in/sub/.tmp");
    std::filesystem::create_directories(files_.path() / "other");
    if (GetParam() == "folder") return;
    SetCredentials();
    server_ = S3Server::Start(files_.path());
    ASSERT_NE(server_, nullptr);
  }
  static void TearDownTestSuite() { ShutdownAtEnd(); }

  std::unique_ptr<ObjectSource> Open(const std::string& prefix) {
    if (server_) EXPECT_TRUE(server_->Sync());
    auto source =
        OpenSource(server_ ? server_->Address(prefix) : (files_.path() / prefix).string());
    EXPECT_TRUE(source.ok()) << source.status().message();
    return source.ok() ? *std::move(source) : nullptr;
  }

  TemporaryFolder files_;
  std::unique_ptr<S3Server> server_;
};

TEST_P(SourceTest, ListsByNameWhatEndsWithTheSuffix) {
  files_.Write("in/b.jsonl", "1234");
  files_.Write("in/a.jsonl", "12");
  files_.Write("in/sub/c.jsonl", "1");
  files_.Write("in/notes.txt", "1");
  files_.Write("in/.a.jsonl.part.jsonl", "1");
  files_.Write("in/sub/.tmp/d.jsonl", "1");
  files_.Write("other/e.jsonl", "1");
  auto source = Open("in");
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(Names(*source), ElementsAre("a.jsonl", "b.jsonl", "sub/c.jsonl"));
  auto objects = source->List(".jsonl");
  ASSERT_TRUE(objects.ok());
  EXPECT_EQ((*objects)[1].bytes, 4u);
  EXPECT_GT((*objects)[1].modified.time_since_epoch().count(), 0);
}

TEST_P(SourceTest, ReadsInOrderAndStopsWhenTold) {
  std::string big;
  for (int i = 0; i < 300'000; ++i) big += std::to_string(i) + "\n";
  files_.Write("in/big.jsonl", big);
  files_.Write("in/empty.jsonl", "");
  auto source = Open("in");
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(Content(*source, "big.jsonl"), big);
  EXPECT_EQ(Content(*source, "empty.jsonl"), "");
  int calls = 0;
  Status stopped = source->Read("big.jsonl", [&](std::string_view) {
    ++calls;
    return Cancelled("enough");
  });
  EXPECT_EQ(stopped.code(), StatusCode::kCancelled);
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(source->Read("gone.jsonl", [](std::string_view) { return Status(); }).ok());
}

INSTANTIATE_TEST_SUITE_P(All, SourceTest, ::testing::Values("folder", "s3"),
                         [](const auto& info) { return info.param; });

using S3Test = SourceTest;
TEST_P(S3Test, APrefixMayBeEmptyButABucketMustBeThere) {
  auto source = Open("nothing/yet");
  ASSERT_NE(source, nullptr);
  EXPECT_THAT(Names(*source), IsEmpty());
  std::string address = server_->Address("in");
  auto wrong = OpenSource(address.replace(address.find("live"), 4, "nobody"));
  ASSERT_TRUE(wrong.ok());
  auto objects = (*wrong)->List("");
  EXPECT_EQ(objects.status().code(), StatusCode::kNotFound) << objects.status().message();
  EXPECT_THAT(objects.status().message(), HasSubstr("nobody"));
}
INSTANTIATE_TEST_SUITE_P(Alone, S3Test, ::testing::Values("s3"));

TEST(OpenSourceTest, SaysWhatIsWrongWithAnAddress) {
  auto refused = [](const std::string& address) {
    auto source = OpenSource(address);
    EXPECT_EQ(source.status().code(), StatusCode::kInvalidArgument) << address;
    return source.status().message();
  };
  EXPECT_THAT(refused("live/in"), HasSubstr("absolute"));
  EXPECT_THAT(refused("gs://bucket/in"), HasSubstr("s3://"));
  EXPECT_THAT(refused("s3://KEY:SECRET@bucket/in"), HasSubstr("credentials"));
  EXPECT_THAT(refused("s3:///in"), HasSubstr("bucket"));
  EXPECT_THAT(refused("s3://bucket/in?colour=red"), HasSubstr("colour"));
}

TEST(OpenSourceTest, ABucketThatNeverAnswersIsGivenUp) {
  SetCredentials();
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&here), size), 0);
  ASSERT_EQ(listen(listener, 16), 0);  // the kernel takes connections, and nobody reads them
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size), 0);
  const std::string address =
      "s3://live/in?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:" +
      std::to_string(ntohs(here.sin_port));
  {
    const Patience patience(std::chrono::milliseconds(500));
    auto source = patience.Bound(address, [&] { return OpenSource(address); });
    EXPECT_EQ(source->List("").status().code(), StatusCode::kDeadlineExceeded);
  }
  close(listener);  // the call that was given up fails
  while (CallsUnderWay() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ShutdownAtEnd();
}

TEST(OpenSourceTest, AFolderThatIsNotThereIsNotFound) {
  auto source = OpenSource("/nonexistent/folder");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->List("").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace attune::objects
