#include "coordinator/api/message_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace attune {
namespace {

using testing::ElementsAre;

struct FakeStream {
  void Close(const grpc::Status&) { closed = true; }
  void Enqueue(int) {}
  bool closed = false;
};

TEST(StreamHub, OnlyTheNewestStreamOfANameCounts) {
  StreamHub<FakeStream, int> hub;
  FakeStream older, newer;
  std::vector<std::string> order;
  hub.Bind("a", &older, [&] { order.push_back("older starts"); });
  hub.Bind("a", &newer, [&] { order.push_back("newer starts"); });
  EXPECT_TRUE(older.closed);
  hub.Unbind("a", &older, [&] { order.push_back("older ends"); });
  hub.Unbind("a", &newer, [&] { order.push_back("newer ends"); });
  EXPECT_THAT(order, ElementsAre("older starts", "newer starts", "newer ends"));
}

// The end of a stream that is announced late would be taken for the end of the next one.
TEST(StreamHub, NoStreamStartsBeforeTheEndOfTheLastIsAnnounced) {
  StreamHub<FakeStream, int> hub;
  FakeStream older, newer;
  std::vector<std::string> order;
  std::atomic<bool> overtook{false};
  std::thread dials_again;
  hub.Bind("a", &older, [&] { order.push_back("older starts"); });
  hub.Unbind("a", &older, [&] {
    dials_again = std::thread([&] {
      hub.Bind("a", &newer, [&] {
        overtook = true;
        order.push_back("newer starts");
      });
    });
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    while (!overtook && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    order.push_back("older ends");
  });
  dials_again.join();
  EXPECT_THAT(order, ElementsAre("older starts", "older ends", "newer starts"));
}

}  // namespace
}  // namespace attune
