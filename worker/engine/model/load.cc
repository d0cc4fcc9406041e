// Reading a model: configuration, weights under their Hugging Face names, and a peft adapter on
// top.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <malloc.h>

#include <algorithm>
#include <map>
#include <span>

#include "common/base/files.h"
#include "common/model/adapter_labels.h"
#include "common/model/tensors.h"
#include "worker/engine/model/encoder_decoder.h"
#include "worker/engine/model/transformer.h"

namespace attune::engine {
namespace {

constexpr int64_t kPieceElements = 4 << 20;

// A piece at a time, so that no second copy of a large tensor is needed for its conversion.
Status ReadTensor(const WeightSource& source, const std::string& name, const at::Tensor& tensor) {
  const int64_t rows = tensor.dim() < 2 ? 1 : tensor.size(0), row = tensor.numel() / rows;
  const at::Tensor target = tensor.detach().view({rows, row});
  const int64_t step = std::clamp(kPieceElements / row, int64_t{1}, rows);
  const at::Tensor piece = at::empty({step, row}, at::kFloat);
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    const std::span<float> out(piece.mutable_data_ptr<float>(), static_cast<size_t>(count * row));
    ATTUNE_RETURN_IF_ERROR(source.ReadRows(name, first, count, out));
    target.narrow(0, first, count).copy_(piece.narrow(0, 0, count));
  }
  return {};
}

// Every step allocates and frees the same large blocks. Left to its defaults glibc gives them back
// to the kernel, which then clears every page again: some percent of a step.
void KeepFreedMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

Status CheckOptions(const LoadOptions& options) {
  ATTUNE_CHECK(!options.nf4 || options.frozen);
  if (options.precision != "float32" && options.precision != "bfloat16") {
    return InvalidArgument("precision \"" + options.precision +
                           "\" is not supported; supported: float32, bfloat16")
        .WithField("train.precision");
  }
  return {};
}

std::unique_ptr<Transformer> MakeModel(ModelConfig config, const LoadOptions& options) {
  if (config.encoder) return std::make_unique<EncoderDecoder>(std::move(config), options);
  return std::make_unique<Transformer>(std::move(config), options);
}

// Whether labels only get names in place of transformers' LABEL_0, LABEL_1, ...
bool IsRenaming(const std::vector<std::string>& old, const std::vector<std::string>& labels) {
  return AreNameless(old) && old.size() == labels.size();
}

// As transformers initialises a linear layer.
void DrawHead(const at::Tensor& tensor, double deviation, at::Generator& generator) {
  if (tensor.dim() < 2) {
    tensor.detach().zero_();
  } else {
    tensor.detach().copy_(at::empty(tensor.sizes(), at::kFloat).normal_(0, deviation, generator));
  }
}

Result<std::unique_ptr<Transformer>> LoadBase(const ModelFiles& files, const LoadOptions& options) {
  const std::string where = files.path.string();
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadModelConfig(files.path));
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, ParseModelConfig(json, where + ": config.json"));
  if (!options.encoders) ATTUNE_RETURN_IF_ERROR(CheckPredictsNext(config, files.reference));
  std::optional<uint64_t> new_head;
  const std::vector<std::string> old = config.labels;
  ATTUNE_ASSIGN_OR_RETURN(config, WithLabels(config, options.labels));
  if (config.labels != old && !IsRenaming(old, config.labels)) new_head = options.seed;
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source,
                          OpenModelWeights(files.path, config));
  std::unique_ptr<Transformer> model = MakeModel(std::move(config), options);
  ATTUNE_RETURN_IF_ERROR(model->LoadWeights(*source, where, new_head));
  return model;
}

// An adapter that classifies has a head of its own, which keeps its labels or names them.
Result<std::vector<std::string>> LabelsFor(const ModelFiles& adapter, const LoadOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> there, LabelsOfAdapter(adapter.path));
  if (there.empty() || options.labels.empty()) return there;
  if (there == options.labels || IsRenaming(there, options.labels)) return options.labels;
  return InvalidArgument("the adapter " + adapter.reference + " tells " +
                         std::to_string(there.size()) + " labels apart, beginning with \"" +
                         there.front() +
                         "\": leave out task.labels to go on with it, or start from its base")
      .WithField("task.labels");
}

Result<std::unique_ptr<LanguageModel>> LoadAny(const ModelFiles& files,
                                               const LoadOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckOptions(options));
  KeepFreedMemory();
  if (files.format != "peft-adapter") {
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Transformer> model, LoadBase(files, options));
    return std::unique_ptr<LanguageModel>(std::move(model));
  }
  if (files.base == nullptr || files.base->format == "peft-adapter") {
    return InvalidArgument("the adapter " + files.reference +
                           " needs a base model that is not an adapter");
  }
  LoadOptions base_options = options;
  base_options.frozen = true;
  ATTUNE_ASSIGN_OR_RETURN(base_options.labels, LabelsFor(files, options));
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Transformer> model, LoadBase(*files.base, base_options));
  ATTUNE_RETURN_IF_ERROR(model->AddAdapter("default", files));
  return std::unique_ptr<LanguageModel>(std::move(model));
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> LanguageModel::Load(const ModelFiles& files,
                                                           const LoadOptions& options) {
  try {
    return LoadAny(files, options);
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory for the model " + files.reference);
  } catch (const std::exception& error) {
    return Internal("loading the model " + files.reference + ": " + error.what());
  }
}

Status Transformer::LoadWeights(const WeightSource& source, const std::string& where,
                                std::optional<uint64_t> new_head) {
  at::NoGradGuard no_grad;
  TensorInfos found = source.tensors();
  std::map<std::string, std::vector<int64_t>> missing;
  if (new_head) missing = NewHeadTensors(config_, &found);
  if (new_head && !embed_.requires_grad()) ATTUNE_RETURN_IF_ERROR(CheckPooler(missing, where));
  for (const auto& [name, shape] : missing) found[name] = {"F32", shape};
  ATTUNE_RETURN_IF_ERROR(CheckModelTensors(config_, found, where));
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(new_head.value_or(0));
  const auto read = [&](const NamedTensors& named) -> Status {
    for (const auto& [name, tensor] : named) {
      if (missing.contains(name)) {
        DrawHead(tensor, config_.initializer_range, generator);
        continue;
      }
      ATTUNE_RETURN_IF_ERROR(ReadTensor(source, name, tensor));
    }
    return {};
  };
  ATTUNE_RETURN_IF_ERROR(read(OutsideLayers()));
  for (Block& layer : layers_) {
    // One layer at a time is there as a whole.
    for (Projection* projection : layer.projections()) {
      if (nf4_) projection->Allocate();
    }
    NamedTensors named;
    layer.AppendTo(&named);
    ATTUNE_RETURN_IF_ERROR(read(named));
    for (Projection* projection : layer.projections()) {
      if (nf4_) projection->Quantize();
    }
  }
  return {};
}

// What is frozen stays as it was drawn.
Status Transformer::CheckPooler(const std::map<std::string, std::vector<int64_t>>& missing,
                                const std::string& where) const {
  if (config_.names.pooler.empty() || !missing.contains(config_.names.pooler + ".weight")) {
    return {};
  }
  return InvalidArgument(where + " has no " + config_.names.pooler +
                         ", which a classifier's head reads, and an adapter would leave it "
                         "random: train the whole model (method.type full), or use a base that "
                         "has one")
      .WithField("method.type");
}

Status Transformer::ReadAdapter(const std::string& name, const AdapterConfig& config,
                                const WeightSource& source) {
  Freeze();
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Adapter> adapter, MakeAdapter(config));
  at::NoGradGuard no_grad;
  for (const auto& [tensor, value] : adapter->Parameters()) {
    ATTUNE_RETURN_IF_ERROR(ReadTensor(source, tensor, value));
  }
  adapters_.Add(name, std::move(adapter));
  return {};
}

Status Transformer::AddAdapter(const std::string& name, const ModelFiles& files) {
  if (name.empty()) return InvalidArgument("an adapter needs a name");
  const std::string where = (files.path / "adapter_config.json").string();
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadFile(where));
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source, OpenWeights(files.path));
  ATTUNE_ASSIGN_OR_RETURN(const AdapterConfig config, ParseAdapterConfig(json, config_, where));
  ATTUNE_RETURN_IF_ERROR(CheckAdapterTensors(config_, config, source->tensors(), where));
  const bool seen = adapters_.seen() != nullptr;
  Status added;
  try {
    added = ReadAdapter(name, config, *source);
  } catch (const std::exception& error) {
    added = Internal("loading the adapter " + files.reference + ": " + error.what());
  }
  adapters_.Enable(added.ok() || seen);
  return added;
}

}  // namespace attune::engine
