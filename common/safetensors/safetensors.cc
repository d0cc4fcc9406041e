#include "common/safetensors/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/safetensors/header.h"

namespace attune {
namespace {

static_assert(std::endian::native == std::endian::little);

// In the order of the reference implementation's enumeration, by which it lays out a file.
constexpr std::array<std::pair<std::string_view, size_t>, 16> kDtypes = {{{"BOOL", 1},
                                                                          {"U8", 1},
                                                                          {"I8", 1},
                                                                          {"F8_E5M2", 1},
                                                                          {"F8_E4M3", 1},
                                                                          {"F8_E8M0", 1},
                                                                          {"I16", 2},
                                                                          {"U16", 2},
                                                                          {"F16", 2},
                                                                          {"BF16", 2},
                                                                          {"I32", 4},
                                                                          {"U32", 4},
                                                                          {"F32", 4},
                                                                          {"F64", 8},
                                                                          {"I64", 8},
                                                                          {"U64", 8}}};

size_t Rank(std::string_view dtype) {
  size_t rank = 0;
  while (rank < kDtypes.size() && kDtypes[rank].first != dtype) ++rank;
  return rank;
}

// dtype x shape in bytes.
Result<uint64_t> BytesNeeded(const std::string& name, const std::string& dtype,
                             const std::vector<int64_t>& shape) {
  uint64_t bytes = SafetensorsElementBytes(dtype);
  if (bytes == 0) {
    return InvalidArgument("tensor " + QuotedName(name) + " has the unknown dtype " +
                           QuotedName(dtype));
  }
  for (int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes)) {
      return InvalidArgument("tensor " + QuotedName(name) + " has a shape that overflows");
    }
  }
  return bytes;
}

// The tensors must lie end to end from the first to the last byte of the data.
Status CheckCoverage(const SafetensorsHeader& header, uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, const SafetensorsHeader::Entry*>> order;
  for (const auto& [name, entry] : header.entries) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  uint64_t position = 0;
  for (const auto& [name, entry] : order) {
    if (entry->begin != position) {
      return InvalidArgument("tensor " + QuotedName(*name) + " starts at byte " +
                             std::to_string(entry->begin) + " of the data, expected " +
                             std::to_string(position) + ": the tensors " +
                             (entry->begin < position ? "overlap" : "leave a hole"));
    }
    position = entry->end;
  }
  if (position != data_bytes) {
    return InvalidArgument("the tensors end at byte " + std::to_string(position) +
                           " of the data, which has " + std::to_string(data_bytes) +
                           "; the file is truncated or has bytes that belong to no tensor");
  }
  return Status();
}

Status CheckEntry(const std::string& name, const SafetensorsHeader::Entry& entry,
                  uint64_t data_bytes) {
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return InvalidArgument("tensor " + QuotedName(name) + " lies at bytes " +
                           std::to_string(entry.begin) + " to " + std::to_string(entry.end) +
                           " of the data, which has " + std::to_string(data_bytes) +
                           "; the file is truncated or damaged");
  }
  ATTUNE_ASSIGN_OR_RETURN(uint64_t needed, BytesNeeded(name, entry.dtype, entry.shape));
  if (needed != entry.end - entry.begin) {
    return InvalidArgument("tensor " + QuotedName(name) + " has " +
                           std::to_string(entry.end - entry.begin) +
                           " bytes, its dtype and shape " + "need " + std::to_string(needed));
  }
  return Status();
}

// The header's JSON of tensors in their final order, and the bytes of each.
Result<std::string> HeaderJson(const std::vector<TensorLayout>& tensors,
                               const std::map<std::string, std::string>& metadata,
                               std::vector<uint64_t>* bytes) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorLayout& tensor : tensors) {
    if (tensor.name == "__metadata__")
      return InvalidArgument("no tensor may be named __metadata__");
    if (header.contains(tensor.name))
      return InvalidArgument("tensor " + QuotedName(tensor.name) + " is there twice");
    ATTUNE_ASSIGN_OR_RETURN(uint64_t size, BytesNeeded(tensor.name, tensor.dtype, tensor.shape));
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + size}}};
    bytes->push_back(size);
    offset += size;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const std::exception& error) {
    return InvalidArgument(std::string("a tensor's name is not UTF-8: ") + error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kSafetensorsHeaderBytesMax) {
    return InvalidArgument("the header would be larger than " +
                           std::to_string(kSafetensorsHeaderBytesMax) + " bytes");
  }
  return text;
}

}  // namespace

size_t SafetensorsElementBytes(std::string_view dtype) {
  size_t rank = Rank(dtype);
  return rank < kDtypes.size() ? kDtypes[rank].second : 0;
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Open(
    const std::filesystem::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(path));
  auto file = std::shared_ptr<SafetensorsFile>(new SafetensorsFile());
  file->map_ = map;
  Status status = file->Load(map->bytes());
  if (!status.ok()) return status.WithContext(path.string());
  return std::shared_ptr<const SafetensorsFile>(std::move(file));
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::Parse(
    std::span<const std::byte> bytes) {
  auto file = std::shared_ptr<SafetensorsFile>(new SafetensorsFile());
  ATTUNE_RETURN_IF_ERROR(file->Load(bytes));
  return std::shared_ptr<const SafetensorsFile>(std::move(file));
}

Status SafetensorsFile::Load(std::span<const std::byte> bytes) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof header_bytes) {
    return InvalidArgument("not a safetensors file: it has only " + std::to_string(bytes.size()) +
                           " bytes");
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kSafetensorsHeaderBytesMax) {
    return InvalidArgument("not a safetensors file: a header of " + std::to_string(header_bytes) +
                           " bytes is more than the limit of " +
                           std::to_string(kSafetensorsHeaderBytesMax));
  }
  if (header_bytes > bytes.size() - sizeof header_bytes) {
    return InvalidArgument("the file ends inside its header of " + std::to_string(header_bytes) +
                           " bytes; it is truncated or not a safetensors file");
  }
  std::string_view text(reinterpret_cast<const char*>(bytes.data() + sizeof header_bytes),
                        header_bytes);
  ATTUNE_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(text));
  std::span<const std::byte> data = bytes.subspan(sizeof header_bytes + header_bytes);
  for (const auto& [name, entry] : header.entries) {
    ATTUNE_RETURN_IF_ERROR(CheckEntry(name, entry, data.size()));
  }
  ATTUNE_RETURN_IF_ERROR(CheckCoverage(header, data.size()));
  for (auto& [name, entry] : header.entries) {
    tensors_.emplace(name, SafetensorsTensor{std::move(entry.dtype), std::move(entry.shape),
                                             data.subspan(entry.begin, entry.end - entry.begin)});
  }
  metadata_ = std::move(header.metadata);
  return Status();
}

Status WriteSafetensors(const std::filesystem::path& path, std::vector<TensorLayout> tensors,
                        const AppendTensor& append,
                        const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorLayout& a, const TensorLayout& b) {
    size_t a_rank = Rank(a.dtype), b_rank = Rank(b.dtype);
    return a_rank != b_rank ? a_rank > b_rank : a.name < b.name;
  });
  std::vector<uint64_t> bytes;
  ATTUNE_ASSIGN_OR_RETURN(std::string header, HeaderJson(tensors, metadata, &bytes));
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(path));
  uint64_t header_bytes = header.size();
  ATTUNE_RETURN_IF_ERROR(writer.Append(&header_bytes, sizeof header_bytes));
  ATTUNE_RETURN_IF_ERROR(writer.Append(header));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t before = writer.size();
    ATTUNE_RETURN_IF_ERROR(append(tensors[i], writer));
    if (writer.size() - before != bytes[i]) {
      return Internal("tensor " + QuotedName(tensors[i].name) + " was written with " +
                      std::to_string(writer.size() - before) + " bytes instead of " +
                      std::to_string(bytes[i]));
    }
  }
  return writer.Commit();
}

Status WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorBytes>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<TensorLayout> layouts;
  std::map<std::string, const TensorBytes*> by_name;
  for (const TensorBytes& tensor : tensors) {
    ATTUNE_ASSIGN_OR_RETURN(uint64_t needed, BytesNeeded(tensor.name, tensor.dtype, tensor.shape));
    if (needed != tensor.bytes) {
      return InvalidArgument("tensor " + QuotedName(tensor.name) + " has " +
                             std::to_string(tensor.bytes) + " bytes, its dtype and shape need " +
                             std::to_string(needed));
    }
    layouts.push_back({tensor.name, tensor.dtype, tensor.shape});
    by_name[tensor.name] = &tensor;
  }
  auto append = [&](const TensorLayout& layout, AtomicFileWriter& file) {
    const TensorBytes& tensor = *by_name.at(layout.name);
    return file.Append(tensor.data, tensor.bytes);
  };
  return WriteSafetensors(path, std::move(layouts), append, metadata);
}

}  // namespace attune
