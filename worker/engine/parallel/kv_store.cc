#include "worker/engine/parallel/kv_store.h"

#include <c10/util/Exception.h>

namespace attune::engine {
namespace {

std::string ToString(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}
std::vector<uint8_t> ToBytes(const std::string& text) {
  return {text.begin(), text.end()};
}

void ThrowIfError(const Status& status, const char* operation, const std::string& key) {
  if (status.ok()) return;
  C10_THROW_ERROR(DistStoreError, c10::str("the rendezvous store failed to ", operation, " '", key,
                                           "': ", status.ToString()));
}

template <typename T>
T ValueOrThrow(Result<T> result, const char* operation, const std::string& key) {
  ThrowIfError(result.status(), operation, key);
  return std::move(result).value();
}

}  // namespace

c10::intrusive_ptr<c10d::Store> KvStore::clone() {
  return c10::make_intrusive<KvStore>(store_, timeout_);
}

void KvStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  ThrowIfError(store_->Set(key, ToString(value)), "set", key);
}

std::vector<uint8_t> KvStore::compareSet(const std::string& key,
                                         const std::vector<uint8_t>& expected,
                                         const std::vector<uint8_t>& desired) {
  return ToBytes(ValueOrThrow(store_->CompareAndSet(key, ToString(expected), ToString(desired)),
                              "compare and set", key));
}

std::vector<uint8_t> KvStore::get(const std::string& key) {
  return ToBytes(ValueOrThrow(store_->Get(key, timeout_), "get", key));
}

int64_t KvStore::add(const std::string& key, int64_t value) {
  return ValueOrThrow(store_->Add(key, value), "add to", key);
}

bool KvStore::deleteKey(const std::string& key) {
  return ValueOrThrow(store_->Delete(key), "delete", key);
}

bool KvStore::check(const std::vector<std::string>& keys) {
  return ValueOrThrow(store_->Check(keys), "check", keys.empty() ? "" : keys.front());
}

int64_t KvStore::getNumKeys() {
  C10_THROW_ERROR(NotImplementedError, "the rendezvous store does not count its keys");
}

void KvStore::wait(const std::vector<std::string>& keys) {
  wait(keys, timeout_);
}

void KvStore::wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (const std::string& key : keys) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    left = std::max(left, std::chrono::milliseconds(1));
    ThrowIfError(store_->Get(key, left).status(), "wait for", key);
  }
}

}  // namespace attune::engine
