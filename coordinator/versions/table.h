#pragma once

// The rows of immutable, numbered versions: one table for datasets and models, told apart by kind.
// A record is the serialized proto of the version. All functions run in the caller's transaction
// and throw soci_error as any statement does.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/reference.h"

namespace attune::versions {

inline constexpr uint32_t kPageSizeDefault = 100;
inline constexpr uint32_t kPageSizeMax = 1000;

// Area "versions". Add them once to what Database::Open is given.
std::vector<Migration> Migrations();

struct Page {
  std::vector<std::string> records;
  std::string next_page_token;  // empty at the end
};

class Table {
 public:
  explicit Table(std::string kind) : kind_(std::move(kind)) {}
  const std::string& kind() const { return kind_; }

  // A number that was never given to this name before; from 1.
  uint32_t NextVersion(Transaction& transaction, const std::string& name) const;
  // origin: what made it (a job's id), unique unless empty.
  void Insert(Transaction& transaction, const std::string& name, uint32_t version,
              const std::string& origin, const std::string& record) const;
  void Update(Transaction& transaction, const std::string& name, uint32_t version,
              const std::string& record) const;

  // Its number is not given out again.
  void Delete(Transaction& transaction, const std::string& name, uint32_t version) const;

  // The highest number of a version that there is; 0 when there is none.
  uint32_t Newest(Transaction& transaction, const std::string& name) const;
  // kNotFound says which names or versions there are.
  Result<std::string> Find(Transaction& transaction, const Reference& reference) const;
  Result<std::optional<std::string>> FindByOrigin(Transaction& transaction,
                                                  const std::string& origin) const;
  // By name, newest version first; only the newest of each name unless all_versions.
  Result<Page> List(Transaction& transaction, uint32_t page_size, const std::string& page_token,
                    bool all_versions) const;
  std::set<std::pair<std::string, uint32_t>> All(Transaction& transaction) const;

 private:
  Status WhatThereIs(Transaction& transaction, const Reference& reference) const;

  const std::string kind_;
};

}  // namespace attune::versions
