#include "common/model/llama_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/safetensors/header.h"

namespace attune {
namespace {

using Json = nlohmann::json;

// Reads fields of one JSON object and remembers the first thing that is wrong.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool Has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  void Integer(const char* key, int64_t& out, int64_t least, int64_t most) {
    if (!Has(key)) return;
    const Json& value = object_[key];
    if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
        value.get<double>() > static_cast<double>(most)) {
      return Fail(key, "must be a whole number from " + std::to_string(least) + " to " +
                           std::to_string(most));
    }
    out = value.get<int64_t>();
  }

  void Number(const char* key, double& out) {
    std::optional<double> value;
    Number(key, value);
    if (value) out = *value;
  }

  void Number(const char* key, std::optional<double>& out) {
    if (!Has(key)) return;
    if (!object_[key].is_number() || !std::isfinite(object_[key].get<double>())) {
      return Fail(key, "must be a number");
    }
    out = object_[key].get<double>();
  }

  void Flag(const char* key, bool& out) {
    if (!Has(key)) return;
    if (!object_[key].is_boolean()) return Fail(key, "must be true or false");
    out = object_[key].get<bool>();
  }

  void Text(const char* key, std::string& out) {
    if (!Has(key)) return;
    if (!object_[key].is_string()) return Fail(key, "must be a string");
    out = object_[key].get<std::string>();
  }

  void Fail(const std::string& key, const std::string& problem) {
    if (!status_.ok()) return;
    const std::string value =
        object_.contains(key) ? " (it is " + object_[key].dump().substr(0, 60) + ")" : "";
    status_ = InvalidArgument(where_ + ": " + key + " " + problem + value).WithField(key);
  }

  const Status& status() const { return status_; }

 private:
  const Json& object_;
  std::string where_;
  Status status_;
};

Status CheckArchitecture(const Json& root, const std::string& where) {
  std::string found = root.contains("model_type") && root["model_type"].is_string()
                          ? root["model_type"].get<std::string>()
                          : "";
  bool supported = found == "llama";
  if (root.contains("architectures") && root["architectures"].is_array() &&
      !root["architectures"].empty() && root["architectures"][0].is_string()) {
    found = root["architectures"][0].get<std::string>();
    supported = found == "LlamaForCausalLM";
  }
  if (supported) return {};
  return InvalidArgument(where + ": the architecture " +
                         (found.empty() ? "is not named" : QuotedName(found)) +
                         (found.empty() ? "" : " is not supported") +
                         "; supported: LlamaForCausalLM (model_type llama)")
      .WithField("architectures");
}

// Older files have rope_theta beside rope_scaling; transformers 5 writes both into rope_parameters.
Result<RopeConfig> ParseRope(const Json& root, int64_t max_positions, const std::string& where) {
  RopeConfig rope;
  FieldReader top(root, where);
  top.Number("rope_theta", rope.theta);
  double partial = 1;
  top.Number("partial_rotary_factor", partial);
  ATTUNE_RETURN_IF_ERROR(top.status());
  const char* key = top.Has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  const Json empty = Json::object();
  const Json& object = top.Has(key) ? root[key] : empty;
  if (!object.is_object()) {
    return InvalidArgument(where + ": " + key + " must be an object").WithField(key);
  }
  FieldReader fields(object, where + ": " + key);
  fields.Text("type", rope.type);
  fields.Text("rope_type", rope.type);
  fields.Number("rope_theta", rope.theta);
  fields.Number("partial_rotary_factor", partial);
  fields.Number("factor", rope.factor);
  fields.Number("low_freq_factor", rope.low_freq_factor);
  fields.Number("high_freq_factor", rope.high_freq_factor);
  fields.Number("beta_fast", rope.beta_fast);
  fields.Number("beta_slow", rope.beta_slow);
  fields.Number("attention_factor", rope.attention_factor);
  fields.Number("mscale", rope.mscale);
  fields.Number("mscale_all_dim", rope.mscale_all_dim);
  fields.Flag("truncate", rope.truncate);
  rope.original_max_positions = max_positions;
  fields.Integer("original_max_position_embeddings", rope.original_max_positions, 1,
                 int64_t{1} << 40);
  FieldReader outer(root, where);
  outer.Integer("original_max_position_embeddings", rope.original_max_positions, 1,
                int64_t{1} << 40);
  ATTUNE_RETURN_IF_ERROR(outer.status());

  const bool scaled = rope.type == "linear" || rope.type == "dynamic" || rope.type == "llama3" ||
                      rope.type == "yarn";
  if (!scaled && rope.type != "default") {
    fields.Fail("rope_type",
                "\"" + rope.type +
                    "\" is not supported; supported: default, linear, dynamic, llama3, yarn");
  }
  if (rope.type == "yarn" && object.contains("factor") && object["factor"].is_null()) {
    rope.factor =
        static_cast<double>(max_positions) / static_cast<double>(rope.original_max_positions);
  } else if (scaled && !fields.Has("factor")) {
    fields.Fail("factor", "is missing, and " + rope.type + " needs it");
  }
  if (rope.type == "llama3") {
    for (const char* name : {"low_freq_factor", "high_freq_factor"}) {
      if (!fields.Has(name)) fields.Fail(name, "is missing, and llama3 needs it");
    }
    if (rope.low_freq_factor <= 0 || rope.high_freq_factor <= rope.low_freq_factor) {
      fields.Fail("high_freq_factor", "must be more than low_freq_factor, and that more than 0");
    }
  }
  if (rope.factor <= 0) fields.Fail("factor", "must be more than 0");
  if (rope.theta <= 1) fields.Fail("rope_theta", "must be more than 1");
  if (rope.beta_fast == 0) rope.beta_fast = 32;
  if (rope.beta_slow == 0) rope.beta_slow = 1;
  if (partial != 1) fields.Fail("partial_rotary_factor", "other than 1 is not supported");
  ATTUNE_RETURN_IF_ERROR(fields.status());
  return rope;
}

Status CheckSizes(const LlamaConfig& config, FieldReader& fields) {
  if (config.heads % config.kv_heads != 0) {
    fields.Fail("num_key_value_heads",
                "must divide num_attention_heads " + std::to_string(config.heads));
  }
  if (config.head_dim % 2 != 0) fields.Fail("head_dim", "must be even");
  if (!(config.rms_norm_eps >= 0)) fields.Fail("rms_norm_eps", "must not be negative");
  return fields.status();
}

}  // namespace

Result<LlamaConfig> ParseLlamaConfig(const std::string& json, const std::string& where) {
  Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(where + ": not a JSON object");
  ATTUNE_RETURN_IF_ERROR(CheckArchitecture(root, where));
  if (root.contains("quantization_config") && !root["quantization_config"].is_null()) {
    return InvalidArgument(where +
                           ": quantization_config: quantised safetensors are not supported; "
                           "use the unquantised model or a GGUF file")
        .WithField("quantization_config");
  }
  LlamaConfig config;
  FieldReader fields(root, where);
  fields.Integer("vocab_size", config.vocabulary_size, 2, 1 << 24);
  fields.Integer("hidden_size", config.hidden_size, 1, 1 << 18);
  fields.Integer("intermediate_size", config.intermediate_size, 1, 1 << 20);
  fields.Integer("num_hidden_layers", config.layers, 1, 4096);
  fields.Integer("num_attention_heads", config.heads, 1, 1 << 14);
  config.kv_heads = config.heads;
  fields.Integer("num_key_value_heads", config.kv_heads, 1, 1 << 14);
  config.head_dim = config.hidden_size / config.heads;
  fields.Integer("head_dim", config.head_dim, 1, 1 << 14);
  if (config.head_dim < 1) fields.Fail("num_attention_heads", "is more than hidden_size");
  fields.Integer("max_position_embeddings", config.max_positions, 1, int64_t{1} << 40);
  fields.Number("rms_norm_eps", config.rms_norm_eps);
  fields.Flag("tie_word_embeddings", config.tied_embeddings);
  fields.Flag("attention_bias", config.attention_bias);
  fields.Flag("mlp_bias", config.mlp_bias);
  std::string activation = "silu";
  fields.Text("hidden_act", activation);
  if (activation != "silu" && activation != "swish") {
    fields.Fail("hidden_act", "is not supported; supported: silu");
  }
  double attention_dropout = 0;
  fields.Number("attention_dropout", attention_dropout);
  if (attention_dropout != 0) fields.Fail("attention_dropout", "other than 0 is not supported");
  ATTUNE_RETURN_IF_ERROR(CheckSizes(config, fields));
  ATTUNE_ASSIGN_OR_RETURN(config.rope, ParseRope(root, config.max_positions, where));

  config.json = json;
  return config;
}

std::string ConfigJson(const LlamaConfig& config, const std::string& dtype) {
  Json root = Json::parse(config.json);
  root["architectures"] = {"LlamaForCausalLM"};
  root["model_type"] = "llama";
  root["dtype"] = dtype;
  root.erase("torch_dtype");  // its older name
  return root.dump(2) + "\n";
}

}  // namespace attune
