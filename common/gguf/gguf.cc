#include "common/gguf/gguf.h"

#include <limits>
#include <optional>

#include "common/gguf/parser.h"

namespace attune::gguf {
namespace {

std::optional<int64_t> ToInt(const Value& value) {
  if (const auto* i = std::get_if<int64_t>(&value.variant())) return *i;
  if (const auto* u = std::get_if<uint64_t>(&value.variant())) {
    if (*u <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*u);
    }
  }
  return std::nullopt;
}

std::optional<double> ToFloat(const Value& value) {
  if (const auto* d = std::get_if<double>(&value.variant())) return *d;
  if (const auto* i = std::get_if<int64_t>(&value.variant())) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(&value.variant())) return static_cast<double>(*u);
  return std::nullopt;
}

std::optional<std::string_view> ToString(const Value& value) {
  const std::string_view* text = value.AsString();
  return text ? std::optional(*text) : std::nullopt;
}

Status Missing(std::string_view key) {
  return NotFound("metadata key \"" + std::string(key) + "\" is missing");
}

Status WrongType(std::string_view key, const Value& value, std::string_view expected) {
  return InvalidArgument("metadata key \"" + std::string(key) + "\" has type " +
                         std::string(ValueTypeName(value.type())) + ", expected " +
                         std::string(expected));
}

// Every element of the key's array through convert.
template <typename T, typename Convert>
Result<std::vector<T>> GetArray(const File& file, std::string_view key, std::string_view expected,
                                Convert convert) {
  const Value* value = file.Find(key);
  if (!value) return Missing(key);
  const Value::Array* array = value->AsArray();
  if (!array) return WrongType(key, *value, expected);
  std::vector<T> out;
  out.reserve(array->size());
  for (const Value& element : *array) {
    std::optional<T> converted = convert(element);
    if (!converted) return WrongType(key, element, expected);
    out.push_back(*converted);
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<const File>> File::Open(const std::filesystem::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(path));
  auto file = std::shared_ptr<File>(new File());
  file->map_ = map;
  Status status = Parser(map->bytes(), file.get()).Run();
  if (!status.ok()) return status.WithContext(path.string());
  return std::shared_ptr<const File>(std::move(file));
}

Result<std::shared_ptr<const File>> File::Parse(std::span<const std::byte> bytes) {
  auto file = std::shared_ptr<File>(new File());
  ATTUNE_RETURN_IF_ERROR(Parser(bytes, file.get()).Run());
  return std::shared_ptr<const File>(std::move(file));
}

const Value* File::Find(std::string_view key) const {
  auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

const Tensor* File::FindTensor(std::string_view name) const {
  auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

Result<std::string_view> File::GetString(std::string_view key) const {
  const Value* value = Find(key);
  if (!value) return Missing(key);
  if (!value->AsString()) return WrongType(key, *value, "string");
  return *value->AsString();
}

Result<uint64_t> File::GetUint(std::string_view key) const {
  const Value* value = Find(key);
  if (!value) return Missing(key);
  if (const auto* u = std::get_if<uint64_t>(&value->variant())) return *u;
  const auto* i = std::get_if<int64_t>(&value->variant());
  if (!i) return WrongType(key, *value, "an unsigned integer");
  if (*i < 0) {
    return InvalidArgument("metadata key \"" + std::string(key) + "\" is " + std::to_string(*i) +
                           ", expected an unsigned integer");
  }
  return static_cast<uint64_t>(*i);
}

Result<double> File::GetFloat(std::string_view key) const {
  const Value* value = Find(key);
  if (!value) return Missing(key);
  std::optional<double> number = ToFloat(*value);
  if (!number) return WrongType(key, *value, "a number");
  return *number;
}

Result<bool> File::GetBool(std::string_view key) const {
  const Value* value = Find(key);
  if (!value) return Missing(key);
  if (!value->AsBool()) return WrongType(key, *value, "bool");
  return *value->AsBool();
}

Result<std::vector<std::string_view>> File::GetStrings(std::string_view key) const {
  return GetArray<std::string_view>(*this, key, "an array of strings", ToString);
}

Result<std::vector<int64_t>> File::GetInts(std::string_view key) const {
  return GetArray<int64_t>(*this, key, "an array of integers", ToInt);
}

Result<std::vector<double>> File::GetFloats(std::string_view key) const {
  return GetArray<double>(*this, key, "an array of numbers", ToFloat);
}

}  // namespace attune::gguf
