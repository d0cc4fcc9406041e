#include <map>
#include <string>
#include <utility>

#include "common/gguf/gguf.h"
#include "common/safetensors/header.h"
#include "worker/engine/formats/dequantize.h"
#include "worker/engine/formats/gguf_config.h"
#include "worker/engine/formats/gguf_names.h"
#include "worker/engine/formats/mapped_pages.h"
#include "worker/engine/formats/sources.h"

namespace attune::engine {
namespace {

struct Stored {
  const gguf::Tensor* tensor;
  int64_t heads;  // > 0: the rows of each head are permuted
};

class GgufWeights : public WeightSource {
 public:
  explicit GgufWeights(std::shared_ptr<const gguf::File> file) : file_(std::move(file)) {}

  Status Load() {
    ATTUNE_ASSIGN_OR_RETURN(LlamaSizes sizes, ReadLlamaSizes(*file_));
    for (const auto& [gguf_name, tensor] : file_->tensors()) {
      ATTUNE_ASSIGN_OR_RETURN(
          LlamaTensorName name,
          LlamaNameOf(gguf_name, sizes.layers, sizes.heads, sizes.key_value_heads));
      if (name.name.empty()) continue;
      ATTUNE_RETURN_IF_ERROR(CheckPermutation(tensor, name.heads));
      TensorInfo info{std::string(tensor.type->name),
                      {tensor.dimensions.rbegin(), tensor.dimensions.rend()}};
      infos_.emplace(name.name, std::move(info));
      stored_.emplace(name.name, Stored{&tensor, name.heads});
    }
    return Status();
  }

  const std::map<std::string, TensorInfo>& tensors() const override { return infos_; }

  Status ReadFloat(const std::string& name, std::span<float> out) const override {
    auto found = stored_.find(name);
    if (found == stored_.end()) return NotFound("there is no tensor " + QuotedName(name));
    const auto& [tensor, heads] = found->second;
    if (out.size() != tensor->elements) {
      return InvalidArgument("tensor " + QuotedName(name) + " has " +
                             std::to_string(tensor->elements) + " elements, not " +
                             std::to_string(out.size()));
    }
    Status status = heads > 0 ? ReadPermuted(*tensor, heads, out)
                              : Dequantize(*tensor->type, tensor->data, out);
    ReleaseMappedPages(tensor->data);
    return status.ok() ? status : status.WithContext("tensor " + QuotedName(name));
  }

 private:
  static uint64_t Rows(const gguf::Tensor& tensor) {
    return tensor.dimensions.empty() ? 1 : tensor.dimensions.back();
  }

  static Status CheckPermutation(const gguf::Tensor& tensor, int64_t heads) {
    if (heads == 0) return Status();
    uint64_t rows = Rows(tensor);
    uint64_t row_elements = tensor.elements / rows;
    if (tensor.dimensions.size() > 2 || rows % (2 * static_cast<uint64_t>(heads)) != 0 ||
        row_elements % tensor.type->block_elements != 0) {
      return InvalidArgument("tensor " + QuotedName(tensor.name) + " has " + std::to_string(rows) +
                             " rows, which " + std::to_string(heads) +
                             " attention heads with rotary pairs cannot share");
    }
    return Status();
  }

  // llama.cpp interleaves the two halves of each head's rows (it rotates neighbours, Hugging Face
  // rotates halves): row (head, half, i) of Hugging Face is row (head, i, half) of the file.
  static Status ReadPermuted(const gguf::Tensor& tensor, int64_t heads, std::span<float> out) {
    uint64_t rows = Rows(tensor), row_elements = tensor.elements / rows;
    uint64_t row_bytes = tensor.data.size() / rows;
    uint64_t head_rows = rows / static_cast<uint64_t>(heads), half_rows = head_rows / 2;
    for (uint64_t row = 0; row < rows; ++row) {
      uint64_t in_head = row % head_rows;
      uint64_t from = row - in_head + 2 * (in_head % half_rows) + in_head / half_rows;
      ATTUNE_RETURN_IF_ERROR(Dequantize(*tensor.type,
                                        tensor.data.subspan(from * row_bytes, row_bytes),
                                        out.subspan(row * row_elements, row_elements)));
    }
    return Status();
  }

  const std::shared_ptr<const gguf::File> file_;
  std::map<std::string, TensorInfo> infos_;
  std::map<std::string, Stored> stored_;
};

}  // namespace

Result<std::unique_ptr<WeightSource>> OpenGgufWeights(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const gguf::File> opened, gguf::File::Open(file));
  auto source = std::make_unique<GgufWeights>(std::move(opened));
  Status status = source->Load();
  if (!status.ok()) return status.WithContext(file.string());
  return std::unique_ptr<WeightSource>(std::move(source));
}

}  // namespace attune::engine
