#include "worker/engine/adapters/merged_weights.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <utility>

namespace attune::engine {
namespace {

// The product to be added: left [rows of the stored weight, rank] times right, times scale.
struct Pair {
  at::Tensor left, right;
  double scale;
};

class MergedWeights : public WeightSource {
 public:
  MergedWeights(std::unique_ptr<WeightSource> base, const WeightSource& adapter)
      : base_(std::move(base)), adapter_(adapter) {}

  void Add(const std::string& module, Pair pair) {
    pairs_.emplace(module + ".weight", std::move(pair));
  }
  // The adapter's tensor in place of the base's.
  void Replace(const std::string& name, const std::string& by) { owns_.emplace(name, by); }

  const TensorInfos& tensors() const override { return base_->tensors(); }

  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    const auto own = owns_.find(name);
    if (own != owns_.end()) return adapter_.ReadRows(own->second, first, count, out);
    ATTUNE_RETURN_IF_ERROR(base_->ReadRows(name, first, count, out));
    const auto pair = pairs_.find(name);
    if (pair == pairs_.end()) return Status();
    const auto& [left, right, scale] = pair->second;
    at::Tensor rows = at::from_blob(out.data(), {count, right.size(1)}, at::kFloat);
    rows.add_(at::mm(left.narrow(0, first, count), right), scale);
    return Status();
  }

 private:
  const std::unique_ptr<WeightSource> base_;
  const WeightSource& adapter_;
  std::map<std::string, Pair> pairs_;        // by the name of the weight
  std::map<std::string, std::string> owns_;  // of the base's names those in the adapter
};

Result<at::Tensor> ReadMatrix(const WeightSource& source, const std::string& name) {
  at::Tensor matrix = at::empty(source.tensors().at(name).shape, at::kFloat);
  ATTUNE_RETURN_IF_ERROR(source.ReadFloat(
      name, {matrix.mutable_data_ptr<float>(), static_cast<size_t>(matrix.numel())}));
  return matrix;
}

}  // namespace

Result<std::unique_ptr<WeightSource>> MergeWeights(std::unique_ptr<WeightSource> base,
                                                   const LoraConfig& lora, const ModelConfig& model,
                                                   const WeightSource& adapter) {
  auto merged = std::make_unique<MergedWeights>(std::move(base), adapter);
  for (const LoraModule& module : lora.modules) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor a,
                            ReadMatrix(adapter, LoraTensorName(module.name, "lora_A.weight")));
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor b,
                            ReadMatrix(adapter, LoraTensorName(module.name, "lora_B.weight")));
    const double scale = lora.scale(module);
    merged->Add(module.name,
                model.transposed_linears ? Pair{a.t(), b.t(), scale} : Pair{b, a, scale});
  }
  for (const std::string& own : lora.own) merged->Replace(own, OwnTensorName(lora, own));
  return std::unique_ptr<WeightSource>(std::move(merged));
}

}  // namespace attune::engine
