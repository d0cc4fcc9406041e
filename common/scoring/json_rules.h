#pragma once

// JSON Schema (2020-12, with the lists under `items` of earlier drafts), as far as json_rules.cc
// has its keywords. Private to this folder.

#include <re2/re2.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/status.h"

namespace attune::scoring {

using Json = nlohmann::json;

// Levels of lists and objects, of schemas and of documents.
inline constexpr int kJsonNestingMax = 64;

// A schema that was checked: every keyword is known, every reference leads somewhere, every pattern
// compiles. References do not go in circles without going down in the document, so a validation
// ends. Immutable, so it may be shared between threads.
class JsonSchema {
 public:
  // kInvalidArgument with the place in the schema.
  static Result<std::unique_ptr<JsonSchema>> Make(Json root);

  // False too when more than steps_max schemas had to be looked at. The document's nesting is at
  // most kJsonNestingMax.
  bool Accepts(const Json& document, int64_t steps_max) const;

 private:
  friend class SchemaCheck;
  friend class SchemaRun;
  explicit JsonSchema(Json root) : root_(std::move(root)) {}

  const Json root_;
  std::map<std::string, std::unique_ptr<RE2>, std::less<>> patterns_;
  std::map<std::string, const Json*, std::less<>> references_;
};

}  // namespace attune::scoring
