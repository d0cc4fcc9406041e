#include "worker/trainer/remote_store.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "common/base/mutex.h"
#include "tests/unit/worker/stream_peer.h"

namespace attune::trainer {
namespace {

using std::chrono::milliseconds;

// The coordinator's store, as small as can be.
class FakeStore : public v1::TrainerService::Service {
 public:
  grpc::Status StoreSet(grpc::ServerContext* context, const v1::StoreSetRequest* request,
                        v1::StoreValue* answer) override {
    MutexLock lock(&mutex_);
    if (!Known(*context, request->run())) return ended_;
    if (request->value().size() > 100) return too_large_;
    auto it = values_.find(request->key());
    const std::string current = it == values_.end() ? "" : it->second;
    if (!request->has_expected() || current == request->expected()) {
      values_[request->key()] = request->value();
    }
    answer->set_value(values_[request->key()]);
    answer->set_found(true);
    changed_.NotifyAll();
    return grpc::Status::OK;
  }
  grpc::Status StoreGet(grpc::ServerContext* context, const v1::StoreGetRequest* request,
                        v1::StoreValue* answer) override {
    const auto until =
        std::chrono::steady_clock::now() + milliseconds(request->wait_milliseconds());
    MutexLock lock(&mutex_);
    if (!Known(*context, request->run())) return ended_;
    ++gets_;
    changed_.NotifyAll();
    while (!values_.contains(request->key())) {
      if (!changed_.WaitUntil(&mutex_, until)) {
        return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "no such key yet");
      }
    }
    answer->set_value(values_[request->key()]);
    answer->set_found(true);
    return grpc::Status::OK;
  }
  grpc::Status StoreAdd(grpc::ServerContext* context, const v1::StoreAddRequest* request,
                        v1::StoreAddResponse* answer) override {
    MutexLock lock(&mutex_);
    if (!Known(*context, request->run())) return ended_;
    std::string& value = values_[request->key()];
    value = std::to_string((value.empty() ? 0 : std::stoll(value)) + request->amount());
    answer->set_value(std::stoll(value));
    return grpc::Status::OK;
  }
  grpc::Status StoreCheck(grpc::ServerContext* context, const v1::StoreCheckRequest* request,
                          v1::StoreCheckResponse* answer) override {
    MutexLock lock(&mutex_);
    if (!Known(*context, request->run())) return ended_;
    bool all = true;
    for (const auto& key : request->keys()) all = all && values_.contains(key);
    answer->set_all_present(all);
    return grpc::Status::OK;
  }
  grpc::Status StoreDelete(grpc::ServerContext* context, const v1::StoreDeleteRequest* request,
                           v1::StoreCheckResponse* answer) override {
    MutexLock lock(&mutex_);
    if (!Known(*context, request->run())) return ended_;
    answer->set_all_present(values_.erase(request->key()) == 1);
    return grpc::Status::OK;
  }
  void AwaitGets(int count) {
    MutexLock lock(&mutex_);
    while (gets_ < count) changed_.Wait(&mutex_);
  }

 private:
  bool Known(const grpc::ServerContext& context, const std::string& run) {
    auto token = context.client_metadata().find("authorization");
    return run == "job-1-g1" && token != context.client_metadata().end() &&
           token->second == "Bearer secret";
  }
  const grpc::Status ended_{grpc::StatusCode::FAILED_PRECONDITION, "no such run"};
  const grpc::Status too_large_{grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"};
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::string> values_ GUARDED_BY(mutex_);
  int gets_ GUARDED_BY(mutex_) = 0;
};

class RemoteStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<RemoteStore> Make(const std::string& run = "job-1-g1") {
    rpc::Endpoint endpoint{.address = server_.address(), .token = "secret"};
    auto channel = rpc::Connect(endpoint);
    return std::make_unique<RemoteStore>(v1::TrainerService::NewStub(*channel), endpoint, run,
                                         options_);
  }
  FakeStore service_;
  attune::testing::TestServer server_{&service_};
  RemoteStore::Options options_{.wait_at_most = milliseconds(50)};
};

TEST_F(RemoteStoreTest, DoesWhatAStoreDoes) {
  auto store = Make();
  ASSERT_TRUE(store->Set("a", std::string("x\0y", 3)).ok());
  EXPECT_EQ(*store->Get("a", milliseconds(1000)), std::string("x\0y", 3));
  EXPECT_EQ(*store->Add("n", 2), 2);
  EXPECT_EQ(*store->Add("n", 3), 5);
  EXPECT_EQ(*store->CompareAndSet("c", "", "first"), "first");
  EXPECT_EQ(*store->CompareAndSet("c", "other", "second"), "first");
  EXPECT_EQ(*store->CompareAndSet("c", "first", "second"), "second");
  EXPECT_TRUE(*store->Check({"a", "n"}));
  EXPECT_FALSE(*store->Check({"a", "absent"}));
  EXPECT_TRUE(*store->Delete("a"));
  EXPECT_FALSE(*store->Delete("a"));
}

TEST_F(RemoteStoreTest, GetWaitsForTheKey) {
  auto store = Make();
  std::thread peer([&] {
    service_.AwaitGets(2);  // longer than one try
    EXPECT_TRUE(Make()->Set("late", "v").ok());
  });
  auto value = store->Get("late", milliseconds(20000));
  peer.join();
  ASSERT_TRUE(value.ok()) << value.status().ToString();
  EXPECT_EQ(*value, "v");
}

TEST_F(RemoteStoreTest, GetEndsAtItsDeadline) {
  EXPECT_EQ(Make()->Get("never", milliseconds(120)).status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(RemoteStoreTest, TriesAgainWhileTheCoordinatorIsAway) {
  auto store = Make();
  ASSERT_TRUE(store->Set("a", "1").ok());
  server_.Stop();
  std::thread set([&] {
    Status status = store->Set("b", "2");
    EXPECT_TRUE(status.ok()) << status.ToString();
  });
  std::thread get([&] {
    auto value = store->Get("b", milliseconds(20000));
    EXPECT_TRUE(value.ok()) << value.status().ToString();
  });
  server_.Start();
  set.join();
  get.join();
}

TEST_F(RemoteStoreTest, ARunThatEndedIsALostPeer) {
  auto store = Make("job-1-g9");
  EXPECT_EQ(store->Set("a", "1").code(), StatusCode::kUnavailable);
  EXPECT_EQ(store->Get("a", milliseconds(1000)).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(store->Add("a", 1).status().code(), StatusCode::kUnavailable);
}

// kResourceExhausted would make the job wait for room on the storage.
TEST_F(RemoteStoreTest, ALimitOfTheStoreIsNoFullDisk) {
  EXPECT_EQ(Make()->Set("a", std::string(101, 'x')).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace attune::trainer
