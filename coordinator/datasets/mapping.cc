#include "coordinator/datasets/mapping.h"

#include <algorithm>
#include <functional>

#include "common/base/utf8.h"
#include "coordinator/datasets/metadata.h"

namespace attune::datasets {
namespace {

constexpr size_t kNameBytesMax = 100, kListedBytesMax = 400;

std::string Columns(const RowJson& row) {
  std::string names;
  for (const auto& [key, value] : row.items()) names += (names.empty() ? "" : ", ") + key;
  return names.empty() ? "none" : Shorten(names, kListedBytesMax);
}

Result<const RowJson*> Find(const RowJson& row, const std::string& column) {
  auto it = row.find(column);
  if (it != row.end()) return &*it;
  return InvalidArgument("has no column '" + Shorten(column, kNameBytesMax) +
                         "', which is mapped; it has: " + Columns(row));
}

// Numbers and booleans as JSON spells them; null is empty.
Result<std::string> TextOf(const RowJson& value, const std::string& column) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return std::string();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return InvalidArgument("the column '" + Shorten(column, kNameBytesMax) +
                         "' is a list or an object: a text cannot take it");
}

// A column alone keeps lists and nulls, and takes numbers as text.
Result<RowJson> Evaluate(const std::vector<spec::MappingPart>& parts, const RowJson& row) {
  std::string text;
  for (const spec::MappingPart& part : parts) {
    if (!part.column) {
      text += part.text;
      continue;
    }
    ATTUNE_ASSIGN_OR_RETURN(const RowJson* value, Find(row, part.text));
    if (parts.size() == 1 && (value->is_structured() || value->is_null())) return RowJson(*value);
    ATTUNE_ASSIGN_OR_RETURN(const std::string piece, TextOf(*value, part.text));
    text += piece;
  }
  return RowJson(std::move(text));
}

}  // namespace

Result<Mapping> Mapping::Make(const v1::ImportSpec& spec) {
  ATTUNE_RETURN_IF_ERROR(spec::ValidateImportSpec(spec));
  Mapping mapping;
  mapping.shape_ = spec::ShapeOf(spec);
  for (const auto& [key, value] : spec.mapping()) {
    ATTUNE_ASSIGN_OR_RETURN(mapping.values_[key], spec::ParseMapping(value));
  }
  return mapping;
}

bool Mapping::Uses(const std::string& column) const {
  return std::ranges::any_of(values_, [&](const auto& entry) {
    return std::ranges::any_of(entry.second, [&](const spec::MappingPart& part) {
      return part.column && part.text == column;
    });
  });
}

Result<RowJson> Mapping::Apply(const RowJson& row, std::vector<std::string>* ignored) const {
  RowJson made = RowJson::object();
  for (const auto& [key, parts] : values_) {
    ATTUNE_ASSIGN_OR_RETURN(RowJson value, Evaluate(parts, row));
    if (!value.is_null()) made[key] = std::move(value);
  }
  for (const auto& [key, value] : row.items()) {
    if (values_.contains(key)) {
      if (!Uses(key)) ignored->push_back(Shorten(key, kNameBytesMax));
      continue;
    }
    const bool of_shape =
        shape_ == nullptr || std::ranges::find(shape_->keys, key) != std::end(shape_->keys);
    if (of_shape || IsMetadataKey(key)) {
      made[key] = value;
    } else if (!Uses(key)) {
      ignored->push_back(Shorten(key, kNameBytesMax));
    }
  }
  return made;
}

}  // namespace attune::datasets
