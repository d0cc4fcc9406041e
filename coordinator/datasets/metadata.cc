#include "coordinator/datasets/metadata.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "common/base/utf8.h"

namespace attune::datasets {
namespace {

constexpr const char* kObject = "metadata";
constexpr std::string_view kWellKnown[] = {"source", "language", "tenant", "timestamp", "label"};
constexpr size_t kNameBytesMax = 100;  // of an ignored one

std::optional<std::string> ScalarText(const RowJson& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

// False when there is no room for it, or no scalar.
bool Add(const std::string& key, const RowJson& value, Metadata* metadata) {
  const std::optional<std::string> text = ScalarText(value);
  if (!text || text->size() > kMetadataValueBytesMax) return false;
  if (key.empty() || key.size() > kMetadataKeyBytesMax) return false;
  if (metadata->size() == kMetadataKeysMax) return false;
  return metadata->emplace(key, *text).second;
}

}  // namespace

bool IsMetadataKey(const std::string& key) {
  return key == kObject || std::ranges::find(kWellKnown, key) != std::end(kWellKnown);
}

Metadata ReadMetadata(const RowJson& row, std::vector<std::string>* ignored) {
  Metadata metadata;
  for (const auto& [key, value] : row.items()) {
    if (key == kObject || !IsMetadataKey(key) || value.is_null()) continue;
    if (!Add(key, value, &metadata)) ignored->push_back(key);
  }
  auto object = row.find(kObject);
  if (object == row.end() || object->is_null()) return metadata;
  if (!object->is_object()) {
    ignored->push_back(kObject);
    return metadata;
  }
  for (const auto& [key, value] : object->items()) {
    if (value.is_null() || Add(key, value, &metadata)) continue;
    ignored->push_back(Shorten(std::string(kObject) + "." + key, kNameBytesMax));
  }
  return metadata;
}

}  // namespace attune::datasets
