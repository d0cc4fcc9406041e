#include "common/scoring/json_schema_check.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/scoring/scoring.h"

namespace attune::scoring {
namespace {

// What stands after a keyword.
enum class Shape {
  kSchema,
  kSchemas,       // a list, not empty
  kSchemaOrList,  // items
  kSchemaMap,
  kPatternMap,  // keys are patterns
  kCount,
  kNumber,
  kAboveZero,
  kTexts,
  kTextsMap,
  kTypes,
  kList,
  kFlag,
  kPattern,
  kReference,
  kAny,
  kAnnotation,  // says nothing of what is valid
};

struct Keyword {
  std::string_view name;
  Shape shape;
};
constexpr Keyword kKeywords[] = {
    {"type", Shape::kTypes},
    {"enum", Shape::kList},
    {"const", Shape::kAny},
    {"properties", Shape::kSchemaMap},
    {"required", Shape::kTexts},
    {"additionalProperties", Shape::kSchema},
    {"patternProperties", Shape::kPatternMap},
    {"propertyNames", Shape::kSchema},
    {"minProperties", Shape::kCount},
    {"maxProperties", Shape::kCount},
    {"dependentRequired", Shape::kTextsMap},
    {"dependentSchemas", Shape::kSchemaMap},
    {"items", Shape::kSchemaOrList},
    {"prefixItems", Shape::kSchemas},
    {"additionalItems", Shape::kSchema},
    {"contains", Shape::kSchema},
    {"minContains", Shape::kCount},
    {"maxContains", Shape::kCount},
    {"minItems", Shape::kCount},
    {"maxItems", Shape::kCount},
    {"uniqueItems", Shape::kFlag},
    {"minLength", Shape::kCount},
    {"maxLength", Shape::kCount},
    {"pattern", Shape::kPattern},
    {"minimum", Shape::kNumber},
    {"maximum", Shape::kNumber},
    {"exclusiveMinimum", Shape::kNumber},
    {"exclusiveMaximum", Shape::kNumber},
    {"multipleOf", Shape::kAboveZero},
    {"allOf", Shape::kSchemas},
    {"anyOf", Shape::kSchemas},
    {"oneOf", Shape::kSchemas},
    {"not", Shape::kSchema},
    {"if", Shape::kSchema},
    {"then", Shape::kSchema},
    {"else", Shape::kSchema},
    {"$ref", Shape::kReference},
    {"$defs", Shape::kSchemaMap},
    {"definitions", Shape::kSchemaMap},
    {"$schema", Shape::kAnnotation},
    {"$id", Shape::kAnnotation},
    {"$comment", Shape::kAnnotation},
    {"title", Shape::kAnnotation},
    {"description", Shape::kAnnotation},
    {"default", Shape::kAnnotation},
    {"examples", Shape::kAnnotation},
    {"format", Shape::kAnnotation},
    {"readOnly", Shape::kAnnotation},
    {"writeOnly", Shape::kAnnotation},
    {"deprecated", Shape::kAnnotation},
    {"contentEncoding", Shape::kAnnotation},
    {"contentMediaType", Shape::kAnnotation},
};
constexpr std::array<std::string_view, 7> kTypes = {"null",   "boolean", "object", "array",
                                                    "number", "integer", "string"};

Status Wrong(const std::string& place, const std::string& what) {
  return InvalidArgument("the JSON schema, at " + (place.empty() ? "#" : "#" + place) + ": " +
                         what);
}

bool AreTexts(const Json& value) {
  return value.is_array() &&
         std::ranges::all_of(value, [](const Json& text) { return text.is_string(); });
}

bool IsType(const Json& value) {
  return value.is_string() &&
         std::ranges::find(kTypes, value.get_ref<const std::string&>()) != kTypes.end();
}

// Empty when a keyword's value is of its shape, else what it must be.
std::string MustBe(Shape shape, const Json& value) {
  switch (shape) {
    case Shape::kSchemas:
      return value.is_array() && !value.empty() ? "" : "a list of schemas, not empty";
    case Shape::kSchemaMap:
    case Shape::kPatternMap:
      return value.is_object() ? "" : "an object of schemas";
    case Shape::kCount:
      return value.is_number_unsigned() ? "" : "a whole number, 0 or more";
    case Shape::kNumber:
      return value.is_number() ? "" : "a number";
    case Shape::kAboveZero:
      return value.is_number() && value.get<double>() > 0 ? "" : "a number above 0";
    case Shape::kTexts:
      return AreTexts(value) ? "" : "a list of strings";
    case Shape::kTextsMap:
      return value.is_object() && std::ranges::all_of(value, AreTexts)
                 ? ""
                 : "an object of lists of strings";
    case Shape::kTypes:
      return IsType(value) ||
                     (value.is_array() && !value.empty() && std::ranges::all_of(value, IsType))
                 ? ""
                 : "null, boolean, object, array, number, integer, string or a list of these";
    case Shape::kList:
      return value.is_array() ? "" : "a list";
    case Shape::kFlag:
      return value.is_boolean() ? "" : "true or false";
    case Shape::kPattern:
    case Shape::kReference:
      return value.is_string() ? "" : "a string";
    default:
      return "";
  }
}

}  // namespace

Status SchemaCheck::Run() {
  ATTUNE_RETURN_IF_ERROR(Check(schema_->root_, ""));
  std::map<const Json*, int> depths;
  for (const Json* node : std::set<const Json*>(checked_)) {
    ATTUNE_RETURN_IF_ERROR(CheckCircle(*node, &depths));
  }
  return Status();
}

Status SchemaCheck::Check(const Json& node, const std::string& place) {
  if (!checked_.insert(&node).second || node.is_boolean()) return Status();
  if (!node.is_object()) return Wrong(place, "a schema must be an object, true or false");
  for (const auto& [name, value] : node.items()) {
    ATTUNE_RETURN_IF_ERROR(CheckKeyword(name, value, place));
  }
  return Status();
}

Status SchemaCheck::CheckKeyword(const std::string& name, const Json& value,
                                 const std::string& place) {
  if (name.starts_with("x-")) return Status();
  const auto keyword = std::ranges::find(kKeywords, name, &Keyword::name);
  if (keyword == std::end(kKeywords)) {
    return Wrong(place, "the keyword \"" + name + "\" is not known here");
  }
  const std::string below = place + "/" + name;
  if (const std::string what = MustBe(keyword->shape, value); !what.empty()) {
    return Wrong(below, "must be " + what);
  }
  switch (keyword->shape) {
    case Shape::kSchema:
      return Check(value, below);
    case Shape::kSchemaOrList:
      return value.is_array() ? CheckEach(value, below) : Check(value, below);
    case Shape::kPatternMap:
      for (const auto& [pattern, part] : value.items()) {
        ATTUNE_RETURN_IF_ERROR(AddPattern(pattern, below));
      }
      return CheckEach(value, below);
    case Shape::kSchemas:
    case Shape::kSchemaMap:
      return CheckEach(value, below);
    case Shape::kPattern:
      return AddPattern(value.get<std::string>(), below);
    case Shape::kReference:
      return AddReference(value.get<std::string>(), below);
    default:
      return Status();
  }
}

Status SchemaCheck::CheckEach(const Json& nodes, const std::string& place) {
  for (const auto& [key, node] : nodes.items()) {
    ATTUNE_RETURN_IF_ERROR(Check(node, place + "/" + key));
  }
  return Status();
}

Status SchemaCheck::AddPattern(const std::string& pattern, const std::string& place) {
  if (schema_->patterns_.contains(pattern)) return Status();
  if (pattern.size() > kPatternBytesMax) return Wrong(place, "the pattern is too long");
  RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok()) {
    return Wrong(place, "'" + pattern + "' is no regular expression of RE2: " + regex->error());
  }
  schema_->patterns_.emplace(pattern, std::move(regex));
  return Status();
}

Status SchemaCheck::AddReference(const std::string& reference, const std::string& place) {
  if (schema_->references_.contains(reference)) return Status();
  if (!reference.starts_with('#')) {
    return Wrong(place, "\"" + reference +
                            "\" leads out of the schema: only references that begin with # can be "
                            "followed");
  }
  const Json* target = nullptr;
  try {
    const Json::json_pointer pointer(reference.substr(1));
    if (schema_->root_.contains(pointer)) target = &schema_->root_.at(pointer);
  } catch (const Json::exception&) {
  }
  if (target == nullptr) return Wrong(place, "there is nothing at \"" + reference + "\"");
  schema_->references_.emplace(reference, target);
  return Check(*target, reference.substr(1));
}

Status SchemaCheck::CheckCircle(const Json& node, std::map<const Json*, int>* depths) {
  constexpr int kOnTheWay = -1;
  if (!node.is_object()) return Status();
  if (const auto found = depths->find(&node); found != depths->end()) {
    return found->second == kOnTheWay
               ? InvalidArgument("the JSON schema refers to itself without an end")
               : Status();
  }
  (*depths)[&node] = kOnTheWay;
  int deepest = 0;
  const auto follow = [&](const Json& part) -> Status {
    ATTUNE_RETURN_IF_ERROR(CheckCircle(part, depths));
    if (part.is_object()) deepest = std::max(deepest, depths->at(&part));
    return Status();
  };
  for (const auto& [name, value] : node.items()) {
    if (name == "$ref") {
      ATTUNE_RETURN_IF_ERROR(follow(*schema_->references_.at(value.get<std::string>())));
    } else if (name == "not" || name == "if" || name == "then" || name == "else") {
      ATTUNE_RETURN_IF_ERROR(follow(value));
    } else if (name == "allOf" || name == "anyOf" || name == "oneOf" ||
               name == "dependentSchemas") {
      for (const Json& part : value) ATTUNE_RETURN_IF_ERROR(follow(part));
    }
  }
  if (deepest >= kJsonNestingMax) {
    return InvalidArgument("the JSON schema has a chain of more than " +
                           std::to_string(kJsonNestingMax) +
                           " references and combinations: make it shorter");
  }
  (*depths)[&node] = deepest + 1;
  return Status();
}

}  // namespace attune::scoring
