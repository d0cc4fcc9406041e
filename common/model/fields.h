#pragma once

// Reads fields of one JSON object and remembers the first thing that is wrong.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune {

class FieldReader {
 public:
  // where: what the object is, for messages. The object must outlive the reader.
  FieldReader(const nlohmann::json& object, std::string where);

  // A null counts as absent. What is absent leaves `out` alone.
  bool Has(const char* key) const;
  void Integer(const char* key, int64_t& out, int64_t least, int64_t most);
  void Number(const char* key, double& out);
  void Number(const char* key, std::optional<double>& out);
  // A list of numbers above 0.
  void Numbers(const char* key, std::vector<double>& out);
  void Texts(const char* key, std::vector<std::string>& out);
  void Flag(const char* key, bool& out);
  void Text(const char* key, std::string& out);

  // Only the first failure is kept. kInvalidArgument with the key as its field.
  void Fail(const std::string& key, const std::string& problem);
  const Status& status() const { return status_; }

  const nlohmann::json& object() const { return object_; }
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
  Status status_;
};

}  // namespace attune
