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
  at::Tensor factor;  // of the sum, with one dimension of 1; may be undefined
};

class MergedWeights : public WeightSource {
 public:
  MergedWeights(std::unique_ptr<WeightSource> base, const WeightSource& adapter)
      : base_(std::move(base)), adapter_(adapter), tensors_(base_->tensors()) {}

  void Add(const std::string& module, Pair pair) {
    pairs_.emplace(module + ".weight", std::move(pair));
  }
  // The adapter's tensor in place of the base's, which need not have one.
  void Replace(const std::string& name, const std::string& by) {
    owns_.emplace(name, by);
    tensors_[name] = adapter_.tensors().at(by);
  }

  // DoRA: the sum's outputs get these magnitudes [out].
  Status SetMagnitude(const std::string& module, const at::Tensor& magnitude, bool transposed);
  void AddToBias(const std::string& name, at::Tensor more) {
    biases_.emplace(name, std::move(more));
  }

  const TensorInfos& tensors() const override { return tensors_; }

  Status ReadRows(const std::string& name, int64_t first, int64_t count,
                  std::span<float> out) const override {
    const auto own = owns_.find(name);
    ATTUNE_RETURN_IF_ERROR(own != owns_.end() ? adapter_.ReadRows(own->second, first, count, out)
                                              : base_->ReadRows(name, first, count, out));
    const auto bias = biases_.find(name);
    if (bias != biases_.end()) {
      at::from_blob(out.data(), bias->second.sizes(), at::kFloat).add_(bias->second);
    }
    const auto pair = pairs_.find(name);
    if (pair == pairs_.end()) return Status();
    const auto& [left, right, scale, factor] = pair->second;
    at::Tensor rows = at::from_blob(out.data(), {count, right.size(1)}, at::kFloat);
    rows.add_(at::mm(left.narrow(0, first, count), right), scale);
    if (factor.defined()) rows.mul_(factor.size(0) == 1 ? factor : factor.narrow(0, first, count));
    return Status();
  }

 private:
  const std::unique_ptr<WeightSource> base_;
  const WeightSource& adapter_;
  TensorInfos tensors_;
  std::map<std::string, Pair> pairs_;         // by the name of the weight
  std::map<std::string, at::Tensor> biases_;  // to be added, by the bias's name
  std::map<std::string, std::string> owns_;   // of the base's names those in the adapter
};

Result<at::Tensor> ReadWhole(const WeightSource& source, const std::string& name) {
  at::Tensor tensor = at::empty(source.tensors().at(name).shape, at::kFloat);
  ATTUNE_RETURN_IF_ERROR(source.ReadFloat(
      name, {tensor.mutable_data_ptr<float>(), static_cast<size_t>(tensor.numel())}));
  return tensor;
}

Status MergedWeights::SetMagnitude(const std::string& module, const at::Tensor& magnitude,
                                   bool transposed) {
  Pair& pair = pairs_.at(module + ".weight");
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor sum, ReadWhole(*this, module + ".weight"));
  const int64_t inputs = transposed ? 0 : 1;
  pair.factor =
      magnitude.unsqueeze(inputs) / at::linalg_vector_norm(sum, 2, {inputs}, /*keepdim=*/true);
  return Status();
}

Status MergeModule(const LoraConfig& lora, const ModelConfig& model, const LoraModule& module,
                   const WeightSource& adapter, MergedWeights* merged) {
  const auto read = [&](const char* tensor) {
    return ReadWhole(adapter, LoraTensorName(module.name, tensor));
  };
  const double scale = lora.scale(module);
  const bool transposed = model.transposed_linears;
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor a, read("lora_A.weight"));
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor b, read("lora_B.weight"));
  merged->Add(module.name, transposed ? Pair{a.t(), b.t(), scale, {}} : Pair{b, a, scale, {}});
  if (lora.dora) {
    ATTUNE_ASSIGN_OR_RETURN(const at::Tensor magnitude, read(kMagnitude));
    ATTUNE_RETURN_IF_ERROR(merged->SetMagnitude(module.name, magnitude, transposed));
  }
  if (!lora.lora_bias) return Status();
  const std::string bias = module.name + ".bias";
  if (!merged->tensors().contains(bias)) {
    return InvalidArgument("the adapter cannot be merged: it has a bias (lora_bias) for " +
                           module.name + ", which has none in the base");
  }
  ATTUNE_ASSIGN_OR_RETURN(const at::Tensor more, read("lora_B.bias"));
  merged->AddToBias(bias, more * scale);
  return Status();
}

}  // namespace

Result<std::unique_ptr<WeightSource>> MergeWeights(std::unique_ptr<WeightSource> base,
                                                   const LoraConfig& lora, const ModelConfig& model,
                                                   const WeightSource& adapter) {
  auto merged = std::make_unique<MergedWeights>(std::move(base), adapter);
  for (const LoraModule& module : lora.modules) {
    ATTUNE_RETURN_IF_ERROR(MergeModule(lora, model, module, adapter, merged.get()));
  }
  for (const std::string& own : lora.own) merged->Replace(own, OwnTensorName(lora, own));
  return std::unique_ptr<WeightSource>(std::move(merged));
}

}  // namespace attune::engine
