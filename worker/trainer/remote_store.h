#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "attune/v1/trainer.grpc.pb.h"
#include "common/rpc/rpc.h"
#include "worker/engine/engine.h"

namespace attune::trainer {

// The run's key-value store on the coordinator. While the coordinator is away calls are tried
// again, but Add only where it cannot have happened: twice would be wrong. A run that has ended is
// kUnavailable, as a lost peer is. Thread-safe.
class RemoteStore : public engine::KeyValueStore {
 public:
  struct Options {
    std::chrono::milliseconds call_timeout{10'000};  // of one try
    std::chrono::milliseconds retry_for{60'000};     // all tries of a call that does not wait
    std::chrono::milliseconds wait_at_most{2'000};   // one try of Get
    std::chrono::milliseconds backoff_initial{50}, backoff_max{2'000};
  };

  // run: "<job id>-g<generation>". endpoint gives the token.
  RemoteStore(std::shared_ptr<v1::TrainerService::StubInterface> stub, rpc::Endpoint endpoint,
              std::string run, Options options);

  Status Set(const std::string& key, const std::string& value) override;
  Result<std::string> Get(const std::string& key, std::chrono::milliseconds timeout) override;
  Result<std::string> CompareAndSet(const std::string& key, const std::string& expected,
                                    const std::string& desired) override;
  Result<int64_t> Add(const std::string& key, int64_t amount) override;
  Result<bool> Check(const std::vector<std::string>& keys) override;
  Result<bool> Delete(const std::string& key) override;

 private:
  template <typename Call>
  Status Retry(std::chrono::milliseconds limit, Call call);
  std::unique_ptr<grpc::ClientContext> Context(std::chrono::milliseconds timeout) const;

  const std::shared_ptr<v1::TrainerService::StubInterface> stub_;
  const rpc::Endpoint endpoint_;
  const std::string run_;
  const Options options_;
};

}  // namespace attune::trainer
