#include "common/model/gguf_config.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kSizeMax = 1 << 30;

Result<int64_t> Size(const gguf::File& file, std::string_view key) {
  ATTUNE_ASSIGN_OR_RETURN(uint64_t value, file.GetUint(key));
  if (value == 0 || value > kSizeMax) {
    return InvalidArgument("metadata key \"" + std::string(key) + "\" is " + std::to_string(value) +
                           ", expected 1 to " + std::to_string(kSizeMax));
  }
  return static_cast<int64_t>(value);
}

Result<int64_t> SizeOr(const gguf::File& file, std::string_view key, int64_t missing) {
  return file.Find(key) ? Size(file, key) : Result<int64_t>(missing);
}

Result<double> FloatOr(const gguf::File& file, std::string_view key, double missing) {
  return file.Find(key) ? file.GetFloat(key) : Result<double>(missing);
}

Result<int64_t> VocabularySize(const gguf::File& file) {
  if (file.Find("llama.vocab_size")) return Size(file, "llama.vocab_size");
  const gguf::Value* tokens = file.Find("tokenizer.ggml.tokens");
  if (!tokens || !tokens->AsArray() || tokens->AsArray()->empty()) {
    return InvalidArgument(
        "neither llama.vocab_size nor tokenizer.ggml.tokens says the vocabulary's size");
  }
  return static_cast<int64_t>(tokens->AsArray()->size());
}

Status CheckWhole(const gguf::File& file) {
  if (!file.Find("split.count")) return Status();
  ATTUNE_ASSIGN_OR_RETURN(uint64_t count, file.GetUint("split.count"));
  if (count <= 1) return Status();
  return InvalidArgument("it is one of " + std::to_string(count) +
                         " parts of a split model: join them first (llama-gguf-split --merge "
                         "FIRST_PART JOINED.gguf)");
}

Status CheckArchitecture(const gguf::File& file) {
  ATTUNE_RETURN_IF_ERROR(CheckWhole(file));
  ATTUNE_ASSIGN_OR_RETURN(std::string_view architecture, file.GetString("general.architecture"));
  if (architecture != "llama") {
    return InvalidArgument("the architecture \"" + std::string(architecture.substr(0, 64)) +
                           "\" is not supported; only \"llama\" is");
  }
  ATTUNE_ASSIGN_OR_RETURN(double experts, FloatOr(file, "llama.expert_count", 0));
  if (experts > 0) return InvalidArgument("mixture-of-experts models are not supported");
  return Status();
}

// llama.cpp's converter stores the llama3 scaling as divisors of the head_dim / 2 rotary
// frequencies. They are determined by four numbers, of which all released models share three; the
// fourth is the largest divisor. Algorithm: transformers, modeling_rope_utils.py,
// _compute_llama3_parameters.
std::vector<double> Llama3Divisors(double factor, double theta, size_t count) {
  constexpr double kLow = 1, kHigh = 4, kOriginal = 8192;
  std::vector<double> out(count);
  for (size_t i = 0; i < count; ++i) {
    double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(count));
    double wavelength = 2 * M_PI / frequency;
    double smooth = (kOriginal / wavelength - kLow) / (kHigh - kLow);
    if (wavelength < kOriginal / kHigh) {
      out[i] = 1;
    } else if (wavelength > kOriginal / kLow) {
      out[i] = factor;
    } else {
      out[i] = 1 / ((1 - smooth) / factor + smooth);
    }
  }
  return out;
}

// Null when the divisors scale nothing.
Result<Json> ScalingOfDivisors(const gguf::Tensor& tensor, double theta, int64_t head_dim) {
  if (tensor.type->name != "F32") {
    return InvalidArgument("rope_freqs.weight has the type " + std::string(tensor.type->name) +
                           ", expected F32");
  }
  if (tensor.elements > kSizeMax || static_cast<int64_t>(tensor.elements) * 2 != head_dim) {
    return InvalidArgument("rope_freqs.weight does not have one element for each of the " +
                           std::to_string(head_dim / 2) + " rotary frequencies");
  }
  std::vector<float> divisors(tensor.elements);
  std::memcpy(divisors.data(), tensor.data.data(), tensor.data.size());
  double factor = 1;
  for (float divisor : divisors) factor = std::max(factor, static_cast<double>(divisor));
  std::vector<double> expected = Llama3Divisors(factor, theta, divisors.size());
  bool none = true, llama3 = true;
  for (size_t i = 0; i < divisors.size(); ++i) {
    none = none && divisors[i] == 1;
    llama3 = llama3 && std::abs(divisors[i] - expected[i]) <= 1e-3 * expected[i];
  }
  if (none) return Json();
  if (!llama3) {
    return InvalidArgument(
        "rope_freqs.weight is a frequency scaling that is not known; the model would compute wrong "
        "positions. Import it from its Hugging Face folder");
  }
  return Json{{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", 8192}};
}

// Null when there is none.
Result<Json> RopeScaling(const gguf::File& file, double theta, const LlamaSizes& sizes) {
  if (const gguf::Tensor* divisors = file.FindTensor("rope_freqs.weight")) {
    return ScalingOfDivisors(*divisors, theta, sizes.head_dim);
  }
  const std::string prefix = "llama.rope.scaling.";
  if (!file.Find(prefix + "type")) {
    // The key before rope.scaling existed.
    ATTUNE_ASSIGN_OR_RETURN(double linear, FloatOr(file, "llama.rope.scale_linear", 1));
    return linear == 1 ? Json() : Json{{"rope_type", "linear"}, {"factor", linear}};
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string_view type, file.GetString(prefix + "type"));
  if (type == "none") return Json();
  if (type != "linear" && type != "yarn") {
    return InvalidArgument("llama.rope.scaling.type \"" + std::string(type.substr(0, 64)) +
                           "\" is not supported, only linear and yarn");
  }
  ATTUNE_ASSIGN_OR_RETURN(double factor, file.GetFloat(prefix + "factor"));
  if (!(factor > 0)) return InvalidArgument("llama.rope.scaling.factor is not positive");
  Json scaling = {{"rope_type", type}, {"factor", factor}};
  if (type == "yarn") {
    ATTUNE_ASSIGN_OR_RETURN(int64_t original,
                            SizeOr(file, prefix + "original_context_length", sizes.positions));
    scaling["original_max_position_embeddings"] = original;
    if (file.Find(prefix + "attn_factor")) {
      ATTUNE_ASSIGN_OR_RETURN(double attention, file.GetFloat(prefix + "attn_factor"));
      scaling["attention_factor"] = attention;
    }
  }
  return scaling;
}

bool HasTensor(const gguf::File& file, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (file.FindTensor(name)) return true;
  }
  return false;
}

Status AddTokenIds(const gguf::File& file, Json* config) {
  for (auto [key, name] : {std::pair("bos_token_id", "tokenizer.ggml.bos_token_id"),
                           std::pair("eos_token_id", "tokenizer.ggml.eos_token_id"),
                           std::pair("pad_token_id", "tokenizer.ggml.padding_token_id"),
                           std::pair("unk_token_id", "tokenizer.ggml.unknown_token_id")}) {
    if (!file.Find(name)) continue;
    ATTUNE_ASSIGN_OR_RETURN(uint64_t id, file.GetUint(name));
    (*config)[key] = id;
  }
  return Status();
}

}  // namespace

Result<LlamaSizes> ReadLlamaSizes(const gguf::File& file) {
  ATTUNE_RETURN_IF_ERROR(CheckArchitecture(file));
  LlamaSizes sizes;
  ATTUNE_ASSIGN_OR_RETURN(sizes.hidden, Size(file, "llama.embedding_length"));
  ATTUNE_ASSIGN_OR_RETURN(sizes.intermediate, Size(file, "llama.feed_forward_length"));
  ATTUNE_ASSIGN_OR_RETURN(sizes.layers, Size(file, "llama.block_count"));
  ATTUNE_ASSIGN_OR_RETURN(sizes.heads, Size(file, "llama.attention.head_count"));
  ATTUNE_ASSIGN_OR_RETURN(sizes.key_value_heads,
                          SizeOr(file, "llama.attention.head_count_kv", sizes.heads));
  if (sizes.heads % sizes.key_value_heads != 0) {
    return InvalidArgument(std::to_string(sizes.heads) + " attention heads cannot share " +
                           std::to_string(sizes.key_value_heads) + " key-value heads");
  }
  ATTUNE_ASSIGN_OR_RETURN(sizes.head_dim, SizeOr(file, "llama.rope.dimension_count",
                                                 std::max<int64_t>(1, sizes.hidden / sizes.heads)));
  ATTUNE_ASSIGN_OR_RETURN(sizes.positions, Size(file, "llama.context_length"));
  ATTUNE_ASSIGN_OR_RETURN(sizes.vocabulary, VocabularySize(file));
  return sizes;
}

Result<Json> LlamaConfigOf(const gguf::File& file) {
  ATTUNE_ASSIGN_OR_RETURN(LlamaSizes sizes, ReadLlamaSizes(file));
  ATTUNE_ASSIGN_OR_RETURN(double epsilon, file.GetFloat("llama.attention.layer_norm_rms_epsilon"));
  ATTUNE_ASSIGN_OR_RETURN(double theta, FloatOr(file, "llama.rope.freq_base", 10000));
  if (!(epsilon > 0 && epsilon < 1))
    return InvalidArgument("layer_norm_rms_epsilon is out of (0, 1)");
  if (!(theta > 0 && std::isfinite(theta)))
    return InvalidArgument("rope.freq_base is not positive");
  ATTUNE_ASSIGN_OR_RETURN(Json scaling, RopeScaling(file, theta, sizes));
  Json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_size", sizes.hidden},
      {"intermediate_size", sizes.intermediate},
      {"num_hidden_layers", sizes.layers},
      {"num_attention_heads", sizes.heads},
      {"num_key_value_heads", sizes.key_value_heads},
      {"head_dim", sizes.head_dim},
      {"hidden_act", "silu"},
      {"max_position_embeddings", sizes.positions},
      {"rms_norm_eps", epsilon},
      {"rope_theta", theta},
      {"rope_scaling", scaling},
      {"vocab_size", sizes.vocabulary},
      {"tie_word_embeddings", file.FindTensor("output.weight") == nullptr},
      {"attention_bias", HasTensor(file, {"blk.0.attn_q.bias", "blk.0.attn_k.bias",
                                          "blk.0.attn_v.bias", "blk.0.attn_output.bias"})},
      {"mlp_bias",
       HasTensor(file, {"blk.0.ffn_gate.bias", "blk.0.ffn_up.bias", "blk.0.ffn_down.bias"})},
      {"attention_dropout", 0.0},
      {"initializer_range", 0.02},
      {"use_cache", true},
  };
  ATTUNE_RETURN_IF_ERROR(AddTokenIds(file, &config));
  return config;
}

}  // namespace attune
