// An answer against a JSON schema. Both are text from outside, so both have limits.

#include "common/scoring/json_rules.h"
#include "common/scoring/scoring.h"

namespace attune::scoring {
namespace {

constexpr size_t kDocumentBytesMax = 256 << 10;
constexpr int64_t kStepsMax = 1'000'000;  // schemas that one document is held against

// Levels of brackets outside of strings. Looked at before parsing, as values are destroyed by
// recursion.
int Nesting(std::string_view text) {
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == '{' || c == '[')) {
      deepest = std::max(deepest, ++depth);
    } else if (!quoted && (c == '}' || c == ']')) {
      --depth;
    }
  }
  return deepest;
}

class JsonSchemaValidator final : public Validator {
 public:
  explicit JsonSchemaValidator(std::unique_ptr<JsonSchema> schema) : schema_(std::move(schema)) {}

  double Score(std::string_view answer) const override {
    const std::string_view text = Trimmed(answer);
    if (text.size() > kDocumentBytesMax || Nesting(text) > kJsonNestingMax) return 0;
    const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded()) return 0;
    return schema_->Accepts(document, kStepsMax) ? 1 : 0;
  }

 private:
  const std::unique_ptr<JsonSchema> schema_;
};

}  // namespace

Result<std::unique_ptr<Validator>> MakeJsonSchemaValidator(const std::string& schema) {
  if (schema.size() > kSchemaBytesMax) {
    return InvalidArgument("the JSON schema is longer than " + std::to_string(kSchemaBytesMax) +
                           " bytes");
  }
  if (Nesting(schema) > kJsonNestingMax) {
    return InvalidArgument("the JSON schema has more than " + std::to_string(kJsonNestingMax) +
                           " levels");
  }
  Json root;
  try {
    root = Json::parse(schema);
  } catch (const Json::parse_error& error) {
    return InvalidArgument(std::string("the JSON schema is not JSON: ") + error.what());
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<JsonSchema> checked, JsonSchema::Make(std::move(root)));
  return std::unique_ptr<Validator>(new JsonSchemaValidator(std::move(checked)));
}

}  // namespace attune::scoring
