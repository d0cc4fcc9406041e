#pragma once

// That a schema says what we understand, before any document is held against it. Private to this
// folder.

#include <map>
#include <set>
#include <string>

#include "common/scoring/json_rules.h"

namespace attune::scoring {

// Fills in the schema's patterns and references.
class SchemaCheck {
 public:
  explicit SchemaCheck(JsonSchema* schema) : schema_(schema) {}
  Status Run();

 private:
  Status Check(const Json& node, const std::string& place);
  Status CheckKeyword(const std::string& name, const Json& value, const std::string& place);
  Status CheckEach(const Json& nodes, const std::string& place);
  Status AddPattern(const std::string& pattern, const std::string& place);
  Status AddReference(const std::string& reference, const std::string& place);
  // Schemas that are held against the same value, one inside the other, from this one on.
  Status CheckCircle(const Json& node, std::map<const Json*, int>* depths);

  JsonSchema* const schema_;
  std::set<const Json*> checked_;
};

}  // namespace attune::scoring
