#include <map>
#include <string>
#include <utility>

#include "common/gguf/gguf.h"
#include "common/model/gguf_names.h"
#include "common/safetensors/header.h"
#include "worker/engine/formats/dequantize.h"
#include "worker/engine/formats/mapped_pages.h"
#include "worker/engine/formats/sources.h"

namespace attune::engine {
namespace {

class GgufWeights : public WeightSource {
 public:
  explicit GgufWeights(std::shared_ptr<const gguf::File> file) : file_(std::move(file)) {}

  Status Load() {
    ATTUNE_ASSIGN_OR_RETURN(stored_, LlamaTensorsOf(*file_));
    for (const auto& [name, stored] : stored_) {
      const gguf::Tensor& tensor = *stored.tensor;
      infos_.emplace(name, TensorInfo{std::string(tensor.type->name),
                                      {tensor.dimensions.rbegin(), tensor.dimensions.rend()}});
    }
    return Status();
  }

  const TensorInfos& tensors() const override { return infos_; }

  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    ATTUNE_RETURN_IF_ERROR(CheckRows(name, first, count, out.size()));
    const auto& [tensor, heads] = stored_.at(name);
    const TensorInfo& info = infos_.at(name);
    // Of a bias that is permuted, each element is a row.
    const bool elements = heads > 0 && info.shape.size() < 2;
    const Rows rows(*tensor, elements ? info.elements() : info.rows());
    if (elements) count *= rows.count;
    Status status;
    if (heads == 0) {
      status = Dequantize(*tensor->type, rows.Bytes(first, count), out);
    } else {
      for (int64_t row = 0; row < count && status.ok(); ++row) {
        const int64_t from = rows.Permuted(first + row, heads);
        status = Dequantize(*tensor->type, rows.Bytes(from, 1),
                            out.subspan(static_cast<size_t>(row) * rows.elements, rows.elements));
      }
    }
    ReleaseMappedPages(rows.Bytes(first, count));
    return status.ok() ? status : status.WithContext("tensor " + QuotedName(name));
  }

 private:
  struct Rows {
    Rows(const gguf::Tensor& tensor, int64_t rows)
        : data(tensor.data),
          count(rows),
          elements(tensor.elements / static_cast<uint64_t>(rows)),
          bytes(tensor.data.size() / static_cast<uint64_t>(rows)) {}

    std::span<const std::byte> Bytes(int64_t first, int64_t number) const {
      return data.subspan(static_cast<size_t>(first) * bytes, static_cast<size_t>(number) * bytes);
    }
    // llama.cpp interleaves the two halves of each head's rows (it rotates neighbours, Hugging Face
    // rotates halves): row (head, half, i) of Hugging Face is row (head, i, half) of the file.
    int64_t Permuted(int64_t row, int64_t heads) const {
      const int64_t head_rows = count / heads, in_head = row % head_rows;
      return row - in_head + 2 * (in_head % (head_rows / 2)) + in_head / (head_rows / 2);
    }

    std::span<const std::byte> data;
    int64_t count;
    size_t elements, bytes;  // of a row
  };

  const std::shared_ptr<const gguf::File> file_;
  TensorInfos infos_;
  std::map<std::string, LlamaTensor> stored_;
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
