#pragma once

// Token files of the cache, and many of them as one shard. Private to this folder.

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {

// One file of the cache, of which only pages are in memory, and only while they are used.
class TokenFile : public TokenShard {
 public:
  // Checks what says where each example lies, so that no later call can read outside the file.
  // kDataLoss when the file is damaged or of another format.
  static Result<std::shared_ptr<const TokenFile>> Open(const std::filesystem::path& file);
  // Reads the examples for it. kDataLoss when they are damaged.
  virtual Status CheckExamples() const = 0;
  // What its writer put beside the examples.
  virtual std::string_view notes() const = 0;
};

// The files' examples, one file after the other. 8 bytes of memory an example.
// kInvalidArgument when they are more than 2^32.
Result<std::shared_ptr<const TokenShard>> Join(
    const std::vector<std::shared_ptr<const TokenFile>>& files);

}  // namespace attune::engine
