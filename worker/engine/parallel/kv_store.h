#pragma once

// c10d's bootstrap store on top of the engine's KeyValueStore. Includes c10d: for parallel/ only.

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "worker/engine/engine.h"

namespace attune::engine {

// Failures are thrown as c10::DistStoreError, as c10d expects. The KeyValueStore must outlive it
// and its clones. getNumKeys is not offered: in torch 2.11 only PrefixStore (which passes it on)
// and tests of stores call it, no process group does, and the coordinator's store has no such
// request.
class KvStore : public c10d::Store {
 public:
  KvStore(KeyValueStore* store, std::chrono::milliseconds timeout)
      : c10d::Store(timeout), store_(store) {}

  c10::intrusive_ptr<c10d::Store> clone() override;

  using c10d::Store::compareSet;
  using c10d::Store::set;
  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& desired) override;
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override;
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;

 private:
  KeyValueStore* const store_;
};

}  // namespace attune::engine
