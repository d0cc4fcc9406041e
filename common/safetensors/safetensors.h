#pragma once

// The safetensors container: an 8-byte little-endian header length, a JSON header, the tensors'
// bytes. Format: https://github.com/huggingface/safetensors#format
//
// Reading trusts nothing: the header has a size limit and no duplicate keys, every tensor lies in
// the file with exactly the bytes that its dtype and shape need, and the tensors cover the data
// without overlap or hole.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/files.h"
#include "common/base/status.h"

namespace attune {

inline constexpr uint64_t kSafetensorsHeaderBytesMax = 100'000'000;

// Bytes of one element of a safetensors dtype ("F32", "BF16", "I64", ...); 0 for one that is not
// known.
size_t SafetensorsElementBytes(std::string_view dtype);

struct SafetensorsTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

// Immutable after it is opened; may be shared between threads. The data spans live as long as the
// object.
class SafetensorsFile {
 public:
  // kInvalidArgument with the path when the file is damaged or exceeds a limit.
  static Result<std::shared_ptr<const SafetensorsFile>> Open(const std::filesystem::path& path);
  // The same from memory that outlives the object.
  static Result<std::shared_ptr<const SafetensorsFile>> Parse(std::span<const std::byte> bytes);

  const std::map<std::string, SafetensorsTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;
  Status Load(std::span<const std::byte> bytes);

  std::shared_ptr<MappedFile> map_;  // null when parsed from memory
  std::map<std::string, SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A tensor to be written. data points to the row-major elements, little-endian, and is not owned.
struct TensorBytes {
  std::string name;
  std::string dtype;  // as safetensors names it
  std::vector<int64_t> shape;
  const void* data;
  size_t bytes;
};

// Replaces path in one step (AtomicFileWriter). The layout is that of the reference implementation
// (by element size, then by name; header padded to 8 bytes), so equal tensors make equal files.
// kInvalidArgument for an unknown dtype, a wrong byte count, or a name that is used twice.
Status WriteSafetensors(const std::filesystem::path& path, const std::vector<TensorBytes>& tensors,
                        const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

struct TensorLayout {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
};
// Appends all of the tensor's bytes.
using AppendTensor = std::function<Status(const TensorLayout& tensor, AtomicFileWriter& file)>;
// The same for tensors that are not all in memory: asks for one after the other. Also kInternal
// when append does not append as many bytes as the layout needs.
Status WriteSafetensors(const std::filesystem::path& path, std::vector<TensorLayout> tensors,
                        const AppendTensor& append,
                        const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace attune
