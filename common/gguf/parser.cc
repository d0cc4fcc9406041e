#include "common/gguf/parser.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

namespace attune::gguf {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
// The fewest bytes that an entry of each table can take: what a count is checked against.
constexpr uint64_t kMetadataEntryBytesMin = 8 + 1 + 4 + 1;
constexpr uint64_t kTensorInfoBytesMin = 8 + 1 + 4 + 4 + 8;

std::string Quoted(std::string_view name) {
  // Names come from the file: no control characters may reach a terminal or a log.
  std::string out = "\"";
  for (char c : name.substr(0, 100)) out += (c >= 0x20 && c < 0x7f) ? c : '?';
  return out + "\"";
}

// The fewest bytes that one element of this type takes in an array; 0 for an unknown type.
uint64_t ElementBytesMin(uint32_t type) {
  static constexpr uint8_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < sizeof kBytes ? kBytes[type] : 0;
}

}  // namespace

Status Parser::Truncated(std::string_view what) const {
  return InvalidArgument("the GGUF file ends inside " + std::string(what) + " at byte " +
                         std::to_string(position_) + "; it is truncated or damaged");
}

template <typename T>
Result<T> Parser::Read(std::string_view what) {
  static_assert(std::endian::native == std::endian::little);
  if (remaining() < sizeof(T)) return Truncated(what);
  T value;
  std::memcpy(&value, bytes_.data() + position_, sizeof value);
  position_ += sizeof value;
  return value;
}

Result<std::string_view> Parser::ReadString(std::string_view what, uint64_t limit) {
  ATTUNE_ASSIGN_OR_RETURN(uint64_t length, Read<uint64_t>(what));
  if (length > remaining()) return Truncated(what);
  if (length > limit) {
    return InvalidArgument(std::string(what) + " has " + std::to_string(length) +
                           " bytes, more than the limit of " + std::to_string(limit));
  }
  std::string_view text(reinterpret_cast<const char*>(bytes_.data() + position_), length);
  position_ += length;
  return text;
}

Status Parser::Run() {
  uint64_t tensor_count = 0, metadata_count = 0;
  ATTUNE_RETURN_IF_ERROR(ReadHeader(&tensor_count, &metadata_count));
  ATTUNE_RETURN_IF_ERROR(ReadMetadata(metadata_count));
  ATTUNE_RETURN_IF_ERROR(ReadAlignment());
  std::vector<TensorOffset> offsets(tensor_count);
  for (TensorOffset& offset : offsets) ATTUNE_RETURN_IF_ERROR(ReadTensorInfo(&offset));
  return PlaceTensors(std::move(offsets));
}

Status Parser::ReadHeader(uint64_t* tensor_count, uint64_t* metadata_count) {
  if (bytes_.size() < 4) return InvalidArgument("not a GGUF file: it is shorter than the header");
  ATTUNE_ASSIGN_OR_RETURN(uint32_t magic, Read<uint32_t>("the magic number"));
  if (magic != kMagic) return InvalidArgument("not a GGUF file: it does not start with \"GGUF\"");
  ATTUNE_ASSIGN_OR_RETURN(file_->version_, Read<uint32_t>("the version"));
  if (file_->version_ != 2 && file_->version_ != 3) {
    if ((file_->version_ & 0xffff) == 0 && file_->version_ != 0) {
      return InvalidArgument(
          "big-endian GGUF files are not supported; convert it with gguf-convert-endian");
    }
    return InvalidArgument("GGUF version " + std::to_string(file_->version_) +
                           " is not supported, only versions 2 and 3");
  }
  ATTUNE_ASSIGN_OR_RETURN(*tensor_count, Read<uint64_t>("the tensor count"));
  ATTUNE_ASSIGN_OR_RETURN(*metadata_count, Read<uint64_t>("the metadata count"));
  if (*metadata_count > kMetadataEntriesMax ||
      *metadata_count > remaining() / kMetadataEntryBytesMin) {
    return InvalidArgument("a metadata count of " + std::to_string(*metadata_count) +
                           " is more than the file or the limit of " +
                           std::to_string(kMetadataEntriesMax) + " allows");
  }
  if (*tensor_count > kTensorsMax || *tensor_count > remaining() / kTensorInfoBytesMin) {
    return InvalidArgument("a tensor count of " + std::to_string(*tensor_count) +
                           " is more than the file or the limit of " + std::to_string(kTensorsMax) +
                           " allows");
  }
  return Status();
}

Status Parser::ReadMetadata(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    ATTUNE_ASSIGN_OR_RETURN(std::string_view key, ReadString("a metadata key", kNameBytesMax));
    if (key.empty())
      return InvalidArgument("metadata entry " + std::to_string(i) + " has an empty key");
    ATTUNE_ASSIGN_OR_RETURN(uint32_t type, Read<uint32_t>("a metadata type"));
    Result<Value> value = ReadValue(type, 0);
    if (!value.ok()) return value.status().WithContext("metadata key " + Quoted(key));
    if (!file_->metadata_.emplace(key, std::move(value).value()).second) {
      return InvalidArgument("metadata key " + Quoted(key) + " is there twice");
    }
  }
  return Status();
}

Result<Value> Parser::ReadValue(uint32_t number, int depth) {
  auto type = static_cast<ValueType>(number);
  auto as_uint = [&](auto r) -> Result<Value> {
    if (!r.ok()) return r.status();
    return Value(type, static_cast<uint64_t>(*r));
  };
  auto as_int = [&](auto r) -> Result<Value> {
    if (!r.ok()) return r.status();
    return Value(type, static_cast<int64_t>(*r));
  };
  auto as_float = [&](auto r) -> Result<Value> {
    if (!r.ok()) return r.status();
    return Value(type, static_cast<double>(*r));
  };
  switch (type) {
    case ValueType::kUint8:
      return as_uint(Read<uint8_t>("a value"));
    case ValueType::kUint16:
      return as_uint(Read<uint16_t>("a value"));
    case ValueType::kUint32:
      return as_uint(Read<uint32_t>("a value"));
    case ValueType::kUint64:
      return as_uint(Read<uint64_t>("a value"));
    case ValueType::kInt8:
      return as_int(Read<int8_t>("a value"));
    case ValueType::kInt16:
      return as_int(Read<int16_t>("a value"));
    case ValueType::kInt32:
      return as_int(Read<int32_t>("a value"));
    case ValueType::kInt64:
      return as_int(Read<int64_t>("a value"));
    case ValueType::kFloat32:
      return as_float(Read<float>("a value"));
    case ValueType::kFloat64:
      return as_float(Read<double>("a value"));
    case ValueType::kBool: {
      ATTUNE_ASSIGN_OR_RETURN(uint8_t byte, Read<uint8_t>("a value"));
      if (byte > 1) return InvalidArgument("a bool is " + std::to_string(byte) + ", not 0 or 1");
      return Value(type, byte == 1);
    }
    case ValueType::kString: {
      ATTUNE_ASSIGN_OR_RETURN(std::string_view text,
                              ReadString("a string", std::numeric_limits<uint64_t>::max()));
      return Value(type, text);
    }
    case ValueType::kArray:
      return ReadArray(depth);
  }
  return InvalidArgument("unknown value type " + std::to_string(number));
}

Result<Value> Parser::ReadArray(int depth) {
  if (depth >= kArrayDepthMax) {
    return InvalidArgument("arrays are nested deeper than " + std::to_string(kArrayDepthMax));
  }
  ATTUNE_ASSIGN_OR_RETURN(uint32_t type, Read<uint32_t>("an array's type"));
  ATTUNE_ASSIGN_OR_RETURN(uint64_t count, Read<uint64_t>("an array's length"));
  uint64_t bytes_min = ElementBytesMin(type);
  if (bytes_min == 0) return InvalidArgument("unknown array type " + std::to_string(type));
  if (count > remaining() / bytes_min)
    return Truncated("an array of " + std::to_string(count) + " elements");
  array_elements_ += count;
  if (array_elements_ > kArrayElementsMax) {
    return InvalidArgument("the metadata's arrays have more than " +
                           std::to_string(kArrayElementsMax) + " elements");
  }
  Value::Array array;
  array.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    ATTUNE_ASSIGN_OR_RETURN(Value element, ReadValue(type, depth + 1));
    array.push_back(std::move(element));
  }
  return Value(ValueType::kArray, std::move(array));
}

Status Parser::ReadAlignment() {
  if (!file_->Find("general.alignment")) return Status();
  ATTUNE_ASSIGN_OR_RETURN(file_->alignment_, file_->GetUint("general.alignment"));
  uint64_t alignment = file_->alignment_;
  if (alignment < 8 || alignment > kAlignmentMax || !std::has_single_bit(alignment)) {
    return InvalidArgument("general.alignment is " + std::to_string(alignment) +
                           ", not a power of two from 8 to " + std::to_string(kAlignmentMax));
  }
  return Status();
}

Status Parser::ReadTensorInfo(TensorOffset* where) {
  ATTUNE_ASSIGN_OR_RETURN(std::string_view name, ReadString("a tensor's name", kNameBytesMax));
  if (name.empty()) return InvalidArgument("a tensor has an empty name");
  Tensor tensor;
  tensor.name = name;
  ATTUNE_RETURN_IF_ERROR(ReadDimensions(name, &tensor));
  ATTUNE_ASSIGN_OR_RETURN(uint32_t type, Read<uint32_t>("a tensor's type"));
  tensor.type = FindElementType(type);
  if (!tensor.type) {
    return InvalidArgument("tensor " + Quoted(name) + " has the unknown type " +
                           std::to_string(type));
  }
  uint64_t row = tensor.dimensions.empty() ? 1 : tensor.dimensions[0];
  if (row % tensor.type->block_elements != 0) {
    return InvalidArgument("tensor " + Quoted(name) + " has rows of " + std::to_string(row) +
                           " elements, which is no multiple of the " +
                           std::to_string(tensor.type->block_elements) + " of a " +
                           std::string(tensor.type->name) + " block");
  }
  where->name = name;
  ATTUNE_ASSIGN_OR_RETURN(where->offset, Read<uint64_t>("a tensor's offset"));
  uint64_t blocks = tensor.elements / tensor.type->block_elements;
  if (__builtin_mul_overflow(blocks, uint64_t{tensor.type->block_bytes}, &where->bytes)) {
    return InvalidArgument("tensor " + Quoted(name) + " is larger than any file");
  }
  if (!file_->tensors_.emplace(name, std::move(tensor)).second) {
    return InvalidArgument("tensor " + Quoted(name) + " is there twice");
  }
  return Status();
}

Status Parser::ReadDimensions(std::string_view name, Tensor* tensor) {
  ATTUNE_ASSIGN_OR_RETURN(uint32_t count, Read<uint32_t>("a tensor's dimension count"));
  if (count > kDimensionsMax) {
    return InvalidArgument("tensor " + Quoted(name) + " has " + std::to_string(count) +
                           " dimensions, more than " + std::to_string(kDimensionsMax));
  }
  tensor->elements = 1;
  for (uint32_t i = 0; i < count; ++i) {
    ATTUNE_ASSIGN_OR_RETURN(uint64_t dimension, Read<uint64_t>("a tensor's dimensions"));
    if (dimension == 0) return InvalidArgument("tensor " + Quoted(name) + " has a dimension of 0");
    if (__builtin_mul_overflow(tensor->elements, dimension, &tensor->elements) ||
        tensor->elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return InvalidArgument("tensor " + Quoted(name) + " has more elements than 63 bits count");
    }
    tensor->dimensions.push_back(dimension);
  }
  return Status();
}

Status Parser::PlaceTensors(std::vector<TensorOffset> offsets) {
  if (offsets.empty()) return Status();
  uint64_t alignment = file_->alignment_;
  uint64_t start = (position_ + alignment - 1) / alignment * alignment;
  uint64_t size = start > bytes_.size() ? 0 : bytes_.size() - start;
  for (const TensorOffset& tensor : offsets) {
    if (tensor.offset % alignment != 0) {
      return InvalidArgument("tensor " + Quoted(tensor.name) + " starts at offset " +
                             std::to_string(tensor.offset) + ", which is not aligned to " +
                             std::to_string(alignment));
    }
    if (tensor.offset > size || tensor.bytes > size - tensor.offset) {
      return InvalidArgument("tensor " + Quoted(tensor.name) + " (" + std::to_string(tensor.bytes) +
                             " bytes at offset " + std::to_string(tensor.offset) +
                             ") reaches beyond the file; it is truncated or damaged");
    }
    file_->tensors_.find(tensor.name)->second.data =
        bytes_.subspan(start + tensor.offset, tensor.bytes);
  }
  std::sort(offsets.begin(), offsets.end(),
            [](const TensorOffset& a, const TensorOffset& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i].offset < offsets[i - 1].offset + offsets[i - 1].bytes) {
      return InvalidArgument("tensors " + Quoted(offsets[i - 1].name) + " and " +
                             Quoted(offsets[i].name) + " overlap");
    }
  }
  return Status();
}

}  // namespace attune::gguf
