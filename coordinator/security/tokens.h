#pragma once

// Bearer tokens. A user's and a worker's token come from files; a run's token is made for one
// generation and only its hash is kept, here and in the store.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace attune::security {

// Compares without telling by its duration how much was equal.
bool EqualTokens(std::string_view a, std::string_view b);

// The token of "Bearer TOKEN", empty when the header is something else.
std::string_view BearerToken(std::string_view authorization);

// A token file: one line. Errors: unreadable, shorter than 16 characters, readable by everyone.
Result<std::string> ReadTokenFile(const std::string& path);

// Which run a token is good for. Thread-safe.
class RunTokens {
 public:
  void Add(const std::string& token_sha256, const std::string& run) EXCLUDES(mutex_);
  void Remove(const std::string& run) EXCLUDES(mutex_);
  // The run ("<job id>-g<generation>"), or nothing when the token is good for none (any more).
  std::optional<std::string> RunOf(std::string_view token) const EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::string> run_by_hash_ GUARDED_BY(mutex_);
};

}  // namespace attune::security
