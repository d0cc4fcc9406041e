#include "worker/engine/adapters/merged_weights.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <utility>

namespace attune::engine {
namespace {

// The product to be added: left [rows of the stored weight, rank] times right.
struct Pair {
  at::Tensor left, right;
};

class MergedWeights : public WeightSource {
 public:
  MergedWeights(std::unique_ptr<WeightSource> base, double scale)
      : base_(std::move(base)), scale_(scale) {}

  void Add(const std::string& module, Pair pair) {
    pairs_.emplace(module + ".weight", std::move(pair));
  }

  const TensorInfos& tensors() const override { return base_->tensors(); }

  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    ATTUNE_RETURN_IF_ERROR(base_->ReadRows(name, first, count, out));
    const auto pair = pairs_.find(name);
    if (pair == pairs_.end()) return Status();
    const auto& [left, right] = pair->second;
    at::Tensor rows = at::from_blob(out.data(), {count, right.size(1)}, at::kFloat);
    rows.add_(at::mm(left.narrow(0, first, count), right), scale_);
    return Status();
  }

 private:
  const std::unique_ptr<WeightSource> base_;
  const double scale_;
  std::map<std::string, Pair> pairs_;  // by the name of the weight
};

Result<at::Tensor> ReadMatrix(const WeightSource& source, const std::string& name) {
  at::Tensor matrix = at::empty(source.tensors().at(name).shape, at::kFloat);
  ATTUNE_RETURN_IF_ERROR(source.ReadFloat(
      name, {matrix.mutable_data_ptr<float>(), static_cast<size_t>(matrix.numel())}));
  return matrix;
}

}  // namespace

Result<std::unique_ptr<WeightSource>> MergeWeights(std::unique_ptr<WeightSource> base,
                                                   const LoraConfig& lora, bool transposed,
                                                   const WeightSource& adapter) {
  auto merged = std::make_unique<MergedWeights>(std::move(base), lora.scale());
  for (const std::string& module : lora.modules) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor a, ReadMatrix(adapter, LoraTensorName(module, 'A')));
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor b, ReadMatrix(adapter, LoraTensorName(module, 'B')));
    merged->Add(module, transposed ? Pair{a.t(), b.t()} : Pair{b, a});
  }
  return std::unique_ptr<WeightSource>(std::move(merged));
}

}  // namespace attune::engine
