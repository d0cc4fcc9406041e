// What each keyword of a schema asks of a document.

#include "common/scoring/json_rules.h"

#include <algorithm>
#include <cmath>

#include "common/scoring/json_schema_check.h"

namespace attune::scoring {
namespace {

size_t CodePoints(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

bool IsInteger(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && value.get<double>() == std::floor(value.get<double>());
}

bool HasType(const Json& value, const std::string& type) {
  if (type == "integer") return IsInteger(value);
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

// As Python's jsonschema: exact for whole numbers, else as far as the quotient tells.
bool IsMultiple(double value, double of) {
  if (of == std::floor(of)) return std::fmod(value, of) == 0;
  const double quotient = value / of;
  return std::isfinite(quotient) && quotient == std::floor(quotient);
}

bool AllDiffer(const Json& list) {
  std::vector<Json> items = list.get<std::vector<Json>>();
  std::ranges::sort(items);
  return std::ranges::adjacent_find(items) == items.end();
}

}  // namespace

// One validation. Numbers that a keyword holds are small enough for a double to tell.
class SchemaRun {
 public:
  SchemaRun(const JsonSchema& schema, int64_t steps_max) : schema_(schema), steps_(steps_max) {}

  bool gave_up() const { return steps_ < 0; }
  // Means nothing once the run has given up.
  bool Accepts(const Json& schema, const Json& value) {
    if (--steps_ < 0) return false;
    if (schema.is_boolean()) return schema.get<bool>();
    return General(schema, value) && Combined(schema, value) && Numbers(schema, value) &&
           Texts(schema, value) && Lists(schema, value) && Objects(schema, value);
  }

 private:
  static const Json* Find(const Json& schema, const char* keyword) {
    const auto found = schema.find(keyword);
    return found == schema.end() ? nullptr : &*found;
  }

  static bool WithinCounts(const Json& schema, const char* min, const char* max, size_t count) {
    const Json* low = Find(schema, min);
    const Json* high = Find(schema, max);
    return (low == nullptr || count >= low->get<uint64_t>()) &&
           (high == nullptr || count <= high->get<uint64_t>());
  }

  bool General(const Json& schema, const Json& value) {
    if (const Json* type = Find(schema, "type")) {
      const bool right = type->is_string() ? HasType(value, type->get<std::string>())
                                           : std::ranges::any_of(*type, [&](const Json& one) {
                                               return HasType(value, one.get<std::string>());
                                             });
      if (!right) return false;
    }
    if (const Json* one = Find(schema, "const"); one != nullptr && *one != value) return false;
    const Json* allowed = Find(schema, "enum");
    if (allowed != nullptr && std::ranges::find(*allowed, value) == allowed->end()) return false;
    const Json* reference = Find(schema, "$ref");
    return reference == nullptr ||
           Accepts(*schema_.references_.find(reference->get_ref<const std::string&>())->second,
                   value);
  }

  bool Combined(const Json& schema, const Json& value) {
    const auto accepts = [&](const Json& part) { return Accepts(part, value); };
    const Json* all = Find(schema, "allOf");
    if (all != nullptr && !std::ranges::all_of(*all, accepts)) return false;
    const Json* any = Find(schema, "anyOf");
    if (any != nullptr && !std::ranges::any_of(*any, accepts)) return false;
    const Json* one = Find(schema, "oneOf");
    if (one != nullptr && std::ranges::count_if(*one, accepts) != 1) return false;
    const Json* no = Find(schema, "not");
    if (no != nullptr && Accepts(*no, value)) return false;
    const Json* condition = Find(schema, "if");
    if (condition == nullptr) return true;
    const Json* then = Find(schema, Accepts(*condition, value) ? "then" : "else");
    return then == nullptr || Accepts(*then, value);
  }

  bool Numbers(const Json& schema, const Json& value) {
    if (!value.is_number()) return true;
    const auto holds = [&](const char* keyword, auto compare) {
      const Json* bound = Find(schema, keyword);
      return bound == nullptr || compare(value, *bound);
    };
    return holds("minimum", std::greater_equal<>()) && holds("maximum", std::less_equal<>()) &&
           holds("exclusiveMinimum", std::greater<>()) &&
           holds("exclusiveMaximum", std::less<>()) &&
           holds("multipleOf", [](const Json& number, const Json& of) {
             return IsMultiple(number.get<double>(), of.get<double>());
           });
  }

  bool Matches(const std::string& pattern, const std::string& text) const {
    return RE2::PartialMatch(text, *schema_.patterns_.find(pattern)->second);
  }

  bool Texts(const Json& schema, const Json& value) {
    if (!value.is_string()) return true;
    const std::string& text = value.get_ref<const std::string&>();
    const Json* pattern = Find(schema, "pattern");
    return WithinCounts(schema, "minLength", "maxLength", CodePoints(text)) &&
           (pattern == nullptr || Matches(pattern->get_ref<const std::string&>(), text));
  }

  bool Lists(const Json& schema, const Json& value) {
    if (!value.is_array()) return true;
    if (!WithinCounts(schema, "minItems", "maxItems", value.size())) return false;
    const Json* unique = Find(schema, "uniqueItems");
    if (unique != nullptr && unique->get<bool>() && !AllDiffer(value)) return false;
    return Items(schema, value) && Contained(schema, value);
  }

  bool Items(const Json& schema, const Json& value) {
    const Json* first = Find(schema, "prefixItems");
    const Json* rest = Find(schema, "items");
    if (rest != nullptr && rest->is_array()) {  // as before 2020-12
      first = rest;
      rest = Find(schema, "additionalItems");
    }
    const size_t named = first == nullptr ? 0 : first->size();
    for (size_t i = 0; i < value.size(); ++i) {
      const Json* item = i < named ? &(*first)[i] : rest;
      if (item != nullptr && !Accepts(*item, value[i])) return false;
    }
    return true;
  }

  bool Contained(const Json& schema, const Json& value) {
    const Json* contains = Find(schema, "contains");
    if (contains == nullptr) return true;
    const auto count = static_cast<size_t>(
        std::ranges::count_if(value, [&](const Json& item) { return Accepts(*contains, item); }));
    if (Find(schema, "minContains") == nullptr && count == 0) return false;
    return WithinCounts(schema, "minContains", "maxContains", count);
  }

  bool Objects(const Json& schema, const Json& value) {
    if (!value.is_object()) return true;
    if (!WithinCounts(schema, "minProperties", "maxProperties", value.size())) return false;
    const auto has = [&](const Json& key) {
      return value.contains(key.get_ref<const std::string&>());
    };
    const Json* required = Find(schema, "required");
    if (required != nullptr && !std::ranges::all_of(*required, has)) return false;
    for (const auto& [key, item] : value.items()) {
      if (!Property(schema, key, item)) return false;
    }
    return Dependent(schema, value);
  }

  bool Dependent(const Json& schema, const Json& value) {
    const auto has = [&](const Json& key) {
      return value.contains(key.get_ref<const std::string&>());
    };
    if (const Json* keys = Find(schema, "dependentRequired")) {
      for (const auto& [key, needed] : keys->items()) {
        if (value.contains(key) && !std::ranges::all_of(needed, has)) return false;
      }
    }
    if (const Json* schemas = Find(schema, "dependentSchemas")) {
      for (const auto& [key, more] : schemas->items()) {
        if (value.contains(key) && !Accepts(more, value)) return false;
      }
    }
    return true;
  }

  bool Property(const Json& schema, const std::string& key, const Json& item) {
    const Json* names = Find(schema, "propertyNames");
    if (names != nullptr && !Accepts(*names, Json(key))) return false;
    bool named = false;
    if (const Json* properties = Find(schema, "properties")) {
      const auto found = properties->find(key);
      named = found != properties->end();
      if (named && !Accepts(*found, item)) return false;
    }
    if (const Json* patterns = Find(schema, "patternProperties")) {
      for (const auto& [pattern, part] : patterns->items()) {
        if (!Matches(pattern, key)) continue;
        named = true;
        if (!Accepts(part, item)) return false;
      }
    }
    const Json* others = Find(schema, "additionalProperties");
    return named || others == nullptr || Accepts(*others, item);
  }

  const JsonSchema& schema_;
  int64_t steps_;
};

Result<std::unique_ptr<JsonSchema>> JsonSchema::Make(Json root) {
  std::unique_ptr<JsonSchema> schema(new JsonSchema(std::move(root)));
  ATTUNE_RETURN_IF_ERROR(SchemaCheck(schema.get()).Run());
  return schema;
}

bool JsonSchema::Accepts(const Json& document, int64_t steps_max) const {
  SchemaRun run(*this, steps_max);
  return run.Accepts(root_, document) && !run.gave_up();
}

}  // namespace attune::scoring
