#include "common/model/model_config.h"

#include <algorithm>

#include "common/model/families/families.h"
#include "common/safetensors/header.h"

namespace attune {
namespace {

using Json = nlohmann::json;

std::string TextAt(const Json& root, const char* key) {
  return root.contains(key) && root[key].is_string() ? root[key].get<std::string>() : "";
}

std::string FirstArchitecture(const Json& root) {
  const auto found = root.find("architectures");
  const bool named =
      found != root.end() && found->is_array() && !found->empty() && (*found)[0].is_string();
  return named ? (*found)[0].get<std::string>() : "";
}

constexpr std::string_view kClassifier = "ForSequenceClassification";

// "Llama" of "LlamaForCausalLM": what a family's architectures begin with.
std::string_view StemOf(std::string_view architecture) {
  for (std::string_view end : {std::string_view("ForCausalLM"), std::string_view("LMHeadModel")}) {
    if (architecture.ends_with(end))
      return architecture.substr(0, architecture.size() - end.size());
  }
  return "";
}

// Gemma3ForSequenceClassification is that of models that also see images.
std::string ClassifierOf(std::string_view stem) {
  return std::string(stem) + (stem == "Gemma3" ? "Text" : "") + std::string(kClassifier);
}

// Every family of decoders has a classifier of its last hidden state, which transformers makes in
// the same way for all of them.
std::vector<Family> WithClassifiers(std::vector<Family> families) {
  const size_t count = families.size();
  for (size_t i = 0; i < count; ++i) {
    Family family = families[i];
    const std::string_view stem = StemOf(family.architecture);
    if (stem.empty()) continue;
    family.architecture = ClassifierOf(stem);
    family.classifier = true;
    families.push_back(std::move(family));
  }
  return families;
}

std::vector<Family> AllFamilies() {
  std::vector<Family> all;
  for (const auto& families : {LlamaFamilies(), QwenFamilies(), GemmaFamilies(), PhiFamilies(),
                               Gpt2Families(), BertFamilies(), T5Families()}) {
    all.insert(all.end(), families.begin(), families.end());
  }
  return WithClassifiers(std::move(all));
}

// By its architecture, or where none is named, by its type.
Result<Family> FindFamily(const Json& root, const std::string& where) {
  const std::string architecture = FirstArchitecture(root), type = TextAt(root, "model_type");
  std::string known;
  for (const Family& family : AllFamilies()) {
    const bool is_it =
        architecture.empty() ? type == family.model_type : architecture == family.architecture;
    if (is_it) return family;
    if (!family.classifier) known += (known.empty() ? "" : ", ") + family.architecture;
  }
  const std::string found = architecture.empty() ? type : architecture;
  return InvalidArgument(
             where + ": the architecture " +
             (found.empty() ? "is not named" : QuotedName(found) + " is not supported") +
             "; supported: " + known + ", and the classifiers (" + std::string(kClassifier) +
             ") of these decoders and of BERT")
      .WithField("architectures");
}

// id2label in the order of its numbers, or as many names as num_labels says, as transformers names
// them.
void ReadLabels(FieldReader& fields, ModelConfig* config) {
  constexpr int64_t kLabelsMax = 100000;
  int64_t count = 2;
  const auto found = fields.object().find("id2label");
  const bool named = found != fields.object().end() && found->is_object() && !found->empty();
  if (named) count = static_cast<int64_t>(found->size());
  if (!named) fields.Integer("num_labels", count, 1, kLabelsMax);
  for (int64_t i = 0; i < std::min(count, kLabelsMax); ++i) {
    const std::string number = std::to_string(i);
    const bool known = named && found->contains(number) && (*found)[number].is_string();
    if (named && !known) fields.Fail("id2label", "has no text for label " + number);
    config->labels.push_back(known ? (*found)[number].get<std::string>() : "LABEL_" + number);
  }
  std::string problem = "single_label_classification";
  fields.Text("problem_type", problem);
  if (problem != "single_label_classification") {
    fields.Fail("problem_type", "is not supported; supported: single_label_classification");
  }
}

// The head of transformers' classifiers of decoders: of the last token's hidden state, no bias.
void MakeClassifier(FieldReader& fields, ModelConfig* config) {
  config->head = HeadKind::kLabels;
  config->names.head = "score";
  config->names.ignored.push_back("lm_head.");
  config->tied_embeddings = false;
  config->logit_softcap = 0;
  ReadLabels(fields, config);
}

void CheckSizes(const ModelConfig& config, FieldReader& fields) {
  if (config.heads % config.kv_heads != 0) {
    fields.Fail("num_key_value_heads",
                "must divide num_attention_heads " + std::to_string(config.heads));
  }
  if (!(config.norm_eps >= 0)) fields.Fail("rms_norm_eps", "must not be negative");
}

}  // namespace

Result<ModelConfig> ParseModelConfig(const std::string& json, const std::string& where) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(where + ": not a JSON object");
  ATTUNE_ASSIGN_OR_RETURN(const Family family, FindFamily(root, where));
  if (root.contains("quantization_config") && !root["quantization_config"].is_null()) {
    return InvalidArgument(where +
                           ": quantization_config: quantised safetensors are not supported; "
                           "use the unquantised model or a GGUF file")
        .WithField("quantization_config");
  }
  ModelConfig config;
  config.family = family.model_type;
  config.architecture = family.architecture;
  FieldReader fields(root, where);
  ATTUNE_RETURN_IF_ERROR(family.describe(fields, &config));
  if (family.classifier) MakeClassifier(fields, &config);
  if (config.head == HeadKind::kLabels && config.labels.empty()) ReadLabels(fields, &config);
  fields.Number("initializer_range", config.initializer_range);
  CheckSizes(config, fields);
  ATTUNE_RETURN_IF_ERROR(fields.status());
  if (config.windows.empty()) config.windows.assign(static_cast<size_t>(config.layers), 0);
  config.json = json;
  return config;
}

Result<ModelConfig> AsClassifier(const ModelConfig& config,
                                 const std::vector<std::string>& labels) {
  Json root = Json::parse(config.json);
  const std::string stem(config.family == "bert" ? "Bert" : StemOf(config.architecture));
  root["architectures"] = {stem.empty() ? config.architecture : ClassifierOf(stem)};
  Json names = Json::object(), numbers = Json::object();
  for (size_t i = 0; i < labels.size(); ++i) {
    names[std::to_string(i)] = labels[i];
    numbers[labels[i]] = i;
  }
  root["id2label"] = std::move(names);
  root["label2id"] = std::move(numbers);
  root["num_labels"] = labels.size();
  root.erase("problem_type");
  // Without one transformers' classifiers of decoders take no batch.
  Json end = root.value("eos_token_id", Json());
  if (end.is_array() && !end.empty()) end = Json(end[0]);
  if (root.value("pad_token_id", Json()).is_null() && end.is_number_integer()) {
    root["pad_token_id"] = end;
  }
  return ParseModelConfig(root.dump(-1, ' ', false, Json::error_handler_t::replace),
                          "a classifier of " + config.architecture);
}

Status CheckPredictsNext(const ModelConfig& config, const std::string& model) {
  if (config.head == HeadKind::kNextToken || config.head == HeadKind::kAnswer) return Status();
  const bool labels = config.head == HeadKind::kLabels;
  const std::string does = labels                                  ? "labels texts"
                           : config.head == HeadKind::kMaskedToken ? "finds masked tokens"
                                                                   : "embeds texts";
  return InvalidArgument("the model " + model + " is " + (labels ? "a classifier" : "an encoder") +
                         " (" + config.architecture + "): it predicts no next token; it " + does +
                         ", and trains with the tasks of docs/tasks.md")
      .WithField("base");
}

std::string ConfigJson(const ModelConfig& config, const std::string& dtype) {
  Json root = Json::parse(config.json);
  root["architectures"] = {config.architecture};
  root["model_type"] = config.family;
  root["dtype"] = dtype;
  root.erase("torch_dtype");  // its older name
  root.erase("auto_map");  // code beside the original, which transformers' own class does not need
  return root.dump(2) + "\n";
}

}  // namespace attune
