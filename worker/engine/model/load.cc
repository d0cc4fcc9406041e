// Reading a model: configuration, weights under their Hugging Face names, and a peft adapter on
// top.

#include <ATen/ATen.h>
#include <malloc.h>

#include <set>
#include <span>

#include "common/base/files.h"
#include "worker/engine/model/llama.h"

namespace attune::engine {
namespace {

Status ReadTensor(const WeightSource& source, const std::string& name, const at::Tensor& tensor,
                  const std::string& where) {
  const auto found = source.tensors().find(name);
  if (found == source.tensors().end()) {
    return InvalidArgument(where + ": the tensor " + name + " is missing");
  }
  if (at::IntArrayRef(found->second.shape) != tensor.sizes()) {
    return InvalidArgument(where + ": the tensor " + name + " has the shape " +
                           ShapeText(found->second.shape) + ", its configuration wants " +
                           ShapeText(tensor.sizes().vec()));
  }
  at::Tensor host = tensor.detach();
  if (!host.device().is_cpu()) host = at::empty(tensor.sizes(), at::kFloat);
  const std::span<float> out(host.mutable_data_ptr<float>(), static_cast<size_t>(host.numel()));
  ATTUNE_RETURN_IF_ERROR(source.ReadFloat(name, out));
  if (!tensor.device().is_cpu()) tensor.detach().copy_(host);
  return {};
}

Status RefuseUnknown(const WeightSource& source, const std::set<std::string>& known,
                     const std::string& where) {
  for (const auto& [name, info] : source.tensors()) {
    if (!known.contains(name) && !name.ends_with(".rotary_emb.inv_freq")) {
      return InvalidArgument(where + ": the tensor " + name + " has no place in its configuration");
    }
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
  if (options.precision != "float32" && options.precision != "bfloat16") {
    return InvalidArgument("precision \"" + options.precision +
                           "\" is not supported; supported: float32, bfloat16")
        .WithField("train.precision");
  }
  return {};
}

Result<std::unique_ptr<Llama>> LoadBase(const ModelFiles& files, const LoadOptions& options) {
  const std::string where = files.path.string();
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadModelConfig(files.path));
  ATTUNE_ASSIGN_OR_RETURN(LlamaConfig config, ParseLlamaConfig(json, where + ": config.json"));
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source, OpenWeights(files.path));
  auto model = std::make_unique<Llama>(std::move(config), options);
  ATTUNE_RETURN_IF_ERROR(model->LoadWeights(*source, where));
  return model;
}

Result<std::unique_ptr<CausalLM>> LoadAny(const ModelFiles& files, const LoadOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckOptions(options));
  KeepFreedMemory();
  if (files.format != "peft-adapter") {
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Llama> model, LoadBase(files, options));
    return std::unique_ptr<CausalLM>(std::move(model));
  }
  if (files.base == nullptr || files.base->format == "peft-adapter") {
    return InvalidArgument("the adapter " + files.reference +
                           " needs a base model that is not an adapter");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Llama> model, LoadBase(*files.base, options));
  const std::filesystem::path config_path = files.path / "adapter_config.json";
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadFile(config_path));
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source, OpenWeights(files.path));
  ATTUNE_RETURN_IF_ERROR(model->LoadAdapter(*source, json, config_path.string()));
  return std::unique_ptr<CausalLM>(std::move(model));
}

}  // namespace

Result<std::unique_ptr<CausalLM>> CausalLM::Load(const ModelFiles& files,
                                                 const LoadOptions& options) {
  try {
    return LoadAny(files, options);
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory for the model " + files.reference);
  } catch (const std::exception& error) {
    return Internal("loading the model " + files.reference + ": " + error.what());
  }
}

Status Llama::LoadWeights(const WeightSource& source, const std::string& where) {
  at::NoGradGuard no_grad;
  std::set<std::string> known;
  for (const NamedParameter& parameter : Parameters()) known.insert(parameter.name);
  // Some exporters write a tied output projection too; the embeddings are what transformers uses.
  if (config_.tied_embeddings) known.insert("lm_head.weight");
  ATTUNE_RETURN_IF_ERROR(RefuseUnknown(source, known, where));
  for (const NamedParameter& parameter : Parameters()) {
    ATTUNE_RETURN_IF_ERROR(ReadTensor(source, parameter.name, parameter.tensor, where));
  }
  return {};
}

Status Llama::LoadAdapter(const WeightSource& source, const std::string& config_json,
                          const std::string& where) {
  ATTUNE_ASSIGN_OR_RETURN(LoraConfig config,
                          ParseAdapterConfig(config_json, LinearModules(), where));
  AttachLora(std::move(config));
  at::NoGradGuard no_grad;
  std::set<std::string> known;
  for (const auto& [name, tensor] : LoraParameters()) known.insert(name);
  ATTUNE_RETURN_IF_ERROR(RefuseUnknown(source, known, where));
  for (const auto& [name, tensor] : LoraParameters()) {
    ATTUNE_RETURN_IF_ERROR(ReadTensor(source, name, tensor, where));
  }
  return {};
}

}  // namespace attune::engine
