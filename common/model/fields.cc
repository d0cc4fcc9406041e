#include "common/model/fields.h"

#include <cmath>
#include <utility>

namespace attune {

using Json = nlohmann::json;

FieldReader::FieldReader(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

bool FieldReader::Has(const char* key) const {
  return object_.contains(key) && !object_[key].is_null();
}

void FieldReader::Integer(const char* key, int64_t& out, int64_t least, int64_t most) {
  if (!Has(key)) return;
  const Json& value = object_[key];
  if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
      value.get<double>() > static_cast<double>(most)) {
    return Fail(key, "must be a whole number from " + std::to_string(least) + " to " +
                         std::to_string(most));
  }
  out = value.get<int64_t>();
}

void FieldReader::Number(const char* key, double& out) {
  std::optional<double> value;
  Number(key, value);
  if (value) out = *value;
}

void FieldReader::Number(const char* key, std::optional<double>& out) {
  if (!Has(key)) return;
  if (!object_[key].is_number() || !std::isfinite(object_[key].get<double>())) {
    return Fail(key, "must be a number");
  }
  out = object_[key].get<double>();
}

void FieldReader::Numbers(const char* key, std::vector<double>& out) {
  if (!Has(key)) return;
  if (!object_[key].is_array()) return Fail(key, "must be a list of numbers");
  for (const Json& value : object_[key]) {
    if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>())) {
      return Fail(key, "must be a list of numbers above 0");
    }
    out.push_back(value.get<double>());
  }
}

void FieldReader::Texts(const char* key, std::vector<std::string>& out) {
  if (!Has(key)) return;
  if (!object_[key].is_array()) return Fail(key, "must be a list of strings");
  for (const Json& value : object_[key]) {
    if (!value.is_string()) return Fail(key, "must be a list of strings");
    out.push_back(value.get<std::string>());
  }
}

void FieldReader::Flag(const char* key, bool& out) {
  if (!Has(key)) return;
  if (!object_[key].is_boolean()) return Fail(key, "must be true or false");
  out = object_[key].get<bool>();
}

void FieldReader::Text(const char* key, std::string& out) {
  if (!Has(key)) return;
  if (!object_[key].is_string()) return Fail(key, "must be a string");
  out = object_[key].get<std::string>();
}

void FieldReader::Fail(const std::string& key, const std::string& problem) {
  if (!status_.ok()) return;
  const std::string value =
      object_.contains(key) ? " (it is " + object_[key].dump().substr(0, 60) + ")" : "";
  status_ = InvalidArgument(where_ + ": " + key + " " + problem + value).WithField(key);
}

}  // namespace attune
