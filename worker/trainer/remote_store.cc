#include "worker/trainer/remote_store.h"

#include <algorithm>
#include <functional>
#include <thread>

#include "common/rpc/backoff.h"

namespace attune::trainer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool IsTransient(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded;
}

// For the engine a run that the coordinator closed, or does not know, is a lost peer. A limit of
// the store is a fault of ours: no disk is full.
Status AsEngineSees(const Status& status, const std::string& run) {
  const std::string where = "the key-value store of run " + run + ": ";
  switch (status.code()) {
    case StatusCode::kOk:
    case StatusCode::kInvalidArgument:
      return status;
    case StatusCode::kResourceExhausted:
      return Internal(where + status.message());
    default:
      return Unavailable(where + status.message());
  }
}

}  // namespace

RemoteStore::RemoteStore(std::shared_ptr<v1::TrainerService::StubInterface> stub,
                         rpc::Endpoint endpoint, std::string run, Options options)
    : stub_(std::move(stub)),
      endpoint_(std::move(endpoint)),
      run_(std::move(run)),
      options_(options) {}

std::unique_ptr<grpc::ClientContext> RemoteStore::Context(milliseconds timeout) const {
  auto context = rpc::NewContext(endpoint_, timeout);
  // A connection that is being made is waited for, so a call fails only after it was sent.
  context->set_wait_for_ready(true);
  return context;
}

// call: a try with its own timeout. Tried again while it fails transiently and limit has not
// passed.
template <typename Call>
Status RemoteStore::Retry(milliseconds limit, Call call) {
  const auto until = steady_clock::now() + limit;
  rpc::Backoff backoff(options_.backoff_initial, options_.backoff_max,
                       std::hash<std::string>()(run_));
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const auto timeout = std::clamp(left, milliseconds(1), options_.call_timeout);
    Status status = rpc::FromGrpc(call(timeout));
    if (!IsTransient(status.code())) return AsEngineSees(status, run_);
    const milliseconds pause = backoff.Next();
    if (steady_clock::now() + pause >= until) return AsEngineSees(status, run_);
    std::this_thread::sleep_for(pause);
  }
}

Status RemoteStore::Set(const std::string& key, const std::string& value) {
  v1::StoreSetRequest request;
  request.set_run(run_);
  request.set_key(key);
  request.set_value(value);
  return Retry(options_.retry_for, [&](milliseconds timeout) {
    v1::StoreValue answer;
    return stub_->StoreSet(Context(timeout).get(), request, &answer);
  });
}

Result<std::string> RemoteStore::CompareAndSet(const std::string& key, const std::string& expected,
                                               const std::string& desired) {
  v1::StoreSetRequest request;
  request.set_run(run_);
  request.set_key(key);
  request.set_value(desired);
  request.set_expected(expected);
  v1::StoreValue answer;
  ATTUNE_RETURN_IF_ERROR(Retry(options_.retry_for, [&](milliseconds timeout) {
    return stub_->StoreSet(Context(timeout).get(), request, &answer);
  }));
  return answer.value();
}

Result<std::string> RemoteStore::Get(const std::string& key, milliseconds timeout) {
  const auto until = steady_clock::now() + timeout;
  v1::StoreGetRequest request;
  request.set_run(run_);
  request.set_key(key);
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    const auto wait = std::clamp(left, milliseconds(0), options_.wait_at_most);
    request.set_wait_milliseconds(static_cast<uint32_t>(wait.count()));
    v1::StoreValue answer;
    Status status = rpc::FromGrpc(
        stub_->StoreGet(Context(wait + options_.call_timeout).get(), request, &answer));
    if (status.ok() && answer.found()) return answer.value();
    const bool transient = status.ok() || IsTransient(status.code());
    if (!transient) return AsEngineSees(status, run_);
    if (steady_clock::now() >= until) {
      return DeadlineExceeded("key '" + key + "' of run " + run_ + " did not come within " +
                              std::to_string(timeout.count()) + " ms");
    }
    if (status.code() == StatusCode::kUnavailable) {
      std::this_thread::sleep_for(options_.backoff_initial);
    }
  }
}

Result<int64_t> RemoteStore::Add(const std::string& key, int64_t amount) {
  v1::StoreAddRequest request;
  request.set_run(run_);
  request.set_key(key);
  request.set_amount(amount);
  v1::StoreAddResponse answer;
  Status status =
      rpc::FromGrpc(stub_->StoreAdd(Context(options_.retry_for).get(), request, &answer));
  if (!status.ok()) return AsEngineSees(status, run_);
  return answer.value();
}

Result<bool> RemoteStore::Check(const std::vector<std::string>& keys) {
  v1::StoreCheckRequest request;
  request.set_run(run_);
  for (const std::string& key : keys) request.add_keys(key);
  v1::StoreCheckResponse answer;
  ATTUNE_RETURN_IF_ERROR(Retry(options_.retry_for, [&](milliseconds timeout) {
    return stub_->StoreCheck(Context(timeout).get(), request, &answer);
  }));
  return answer.all_present();
}

Result<bool> RemoteStore::Delete(const std::string& key) {
  v1::StoreDeleteRequest request;
  request.set_run(run_);
  request.set_key(key);
  v1::StoreCheckResponse answer;
  ATTUNE_RETURN_IF_ERROR(Retry(options_.retry_for, [&](milliseconds timeout) {
    return stub_->StoreDelete(Context(timeout).get(), request, &answer);
  }));
  return answer.all_present();
}

}  // namespace attune::trainer
