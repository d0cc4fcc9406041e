#include "worker/engine/tasks/model_card.h"

#include <cstdio>

namespace attune::engine {
namespace {

using nlohmann::json;

json At(const json& object, const char* key) {
  return object.is_object() && object.contains(key) ? object[key] : json();
}

// A value for a line of text: without quotes and line breaks.
std::string Text(const json& value) {
  if (value.is_null()) return "";
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value.get<double>());
    return text;
  }
  std::string text = value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', false, json::error_handler_t::replace);
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '|') c = ' ';
  }
  return text;
}

std::string Row(const char* name, const std::string& value) {
  return value.empty() ? "" : "| " + std::string(name) + " | " + value + " |\n";
}

bool IsPrompt(const json& settings) {
  return Text(At(At(settings, "method"), "type")) == "prompt-tuning";
}

std::string MethodText(const json& settings) {
  const json method = At(settings, "method");
  const std::string type = Text(At(method, "type"));
  std::string text = type == "full"       ? "full fine-tuning"
                     : type == "qlora"    ? "QLoRA"
                     : IsPrompt(settings) ? "prompt tuning"
                                          : "LoRA";
  for (const char* key : {"rank", "alpha", "dropout", "target_modules", "dora", "bias", "layers",
                          "modules_to_save", "rank_stabilized", "virtual_tokens", "init_text"}) {
    const std::string value = Text(At(method, key));
    if (!value.empty()) text += ", " + std::string(key) + " " + value;
  }
  return text;
}

std::string DataText(const json& datasets) {
  std::string text;
  for (const json& dataset : datasets) {
    const std::string reference = Text(At(dataset, "reference"));
    text += (text.empty() ? "" : ", ") + reference + " (sha256 " +
            Text(At(dataset, "checksum")).substr(0, 12) + ")";
    const std::string share = Text(At(dataset, "share"));
    if (!share.empty()) text += ", " + share + " of the examples";
  }
  return text;
}

std::string RegularizeText(const json& settings) {
  const json regularize = At(settings, "regularize");
  const std::string type = Text(At(regularize, "type"));
  return type.empty() ? "" : type + ", strength " + Text(At(regularize, "strength"));
}

std::string Table(const json& lineage) {
  const json settings = At(lineage, "settings"), optimizer = At(settings, "optimizer");
  std::string table = "| | |\n|---|---|\n";
  table += Row("base", Text(At(lineage, "base")));
  table += Row("data", DataText(At(lineage, "datasets")));
  table += Row("method", MethodText(settings));
  table += Row("task", Text(At(At(settings, "task"), "type")));
  table += Row("steps", Text(At(lineage, "steps")));
  table += Row("optimizer", Text(At(optimizer, "name")));
  table += Row("learning rate", Text(At(optimizer, "learning_rate")));
  table += Row("weight decay", Text(At(optimizer, "weight_decay")));
  table += Row("regularize", RegularizeText(settings));
  table += Row("precision", Text(At(settings, "precision")));
  table += Row("seed", Text(At(settings, "seed")));
  table += Row("loss of the last step", Text(At(lineage, "final_loss")));
  table += Row("validation loss before", Text(At(lineage, "first_validation_loss")));
  table += Row("validation loss after", Text(At(lineage, "final_validation_loss")));
  table += Row("validation accuracy after", Text(At(lineage, "final_validation_accuracy")));
  table += Row("job", Text(At(At(lineage, "lineage"), "job")));
  return table + Row("made by", "Attune " + Text(At(lineage, "attune_version")));
}

// How the Hub and transformers call what a task makes.
struct Kind {
  const char* task;
  const char* pipeline;
  const char* auto_class;
};
constexpr Kind kKinds[] = {
    {"causal-lm", "text-generation", "AutoModelForCausalLM"},
    {"preference", "text-generation", "AutoModelForCausalLM"},
    {"seq2seq", "text2text-generation", "AutoModelForSeq2SeqLM"},
    {"masked-lm", "fill-mask", "AutoModelForMaskedLM"},
    {"classification", "text-classification", "AutoModelForSequenceClassification"},
    {"embedding", "sentence-similarity", "AutoModel"},
};

// Settings that do not name a task are of one that predicts tokens; those of before there were
// tasks, too.
const Kind& KindOfTask(const json& settings) {
  const std::string task = Text(At(At(settings, "task"), "type"));
  for (const Kind& kind : kKinds) {
    if (task == kind.task) return kind;
  }
  return kKinds[0];
}

// What AutoModel...from_pretrained needs beside a base's folder.
std::string Arguments(const json& settings, bool adapter) {
  const json labels = At(At(settings, "task"), "labels");
  if (!adapter || !labels.is_array() || labels.empty()) return "";
  return ", num_labels=" + std::to_string(labels.size());
}

std::string Usage(const ModelFiles& root, const std::string& base, const json& settings,
                  bool adapter) {
  const std::string auto_class = KindOfTask(settings).auto_class;
  const std::string import = "from transformers import " + auto_class + ", AutoTokenizer\n\n";
  const std::string tokenizer = "tokenizer = AutoTokenizer.from_pretrained(folder)\n```\n";
  if (!adapter) {
    return "```python\n" + import + "model = " + auto_class +
           ".from_pretrained(folder)  # of this file\n" + tokenizer;
  }
  const std::string note = GgufBaseNote(root);
  const std::string from = note.empty()
                               ? json(base).dump(-1, ' ', false, json::error_handler_t::replace)
                               : "base_folder";
  return (note.empty() ? "" : note + "\n\n") + "```python\nfrom peft import PeftModel\n" + import +
         "base = " + auto_class + ".from_pretrained(" + from + Arguments(settings, adapter) +
         ")\nmodel = PeftModel.from_pretrained(base, folder)  # of this file\n" + tokenizer;
}

}  // namespace

std::string GgufBaseNote(const ModelFiles& root) {
  if (root.format != "gguf") return "";
  return "The base " + root.reference +
         " is a GGUF file, which peft does not load. `attune model export " + root.reference +
         " FOLDER` writes it as a folder for AutoModelForCausalLM.from_pretrained.";
}

std::string ModelCard(const json& lineage, const ModelFiles& root, bool adapter) {
  std::string base = Text(At(lineage, "base_model"));
  if (base.empty()) base = Text(At(lineage, "base"));
  // JSON's strings are YAML's.
  std::string card =
      "---\nbase_model: " + json(base).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  card += adapter ? "library_name: peft\n" : "library_name: transformers\n";
  const json settings = At(lineage, "settings");
  card += "pipeline_tag: " + std::string(KindOfTask(settings).pipeline) + "\ntags:\n- attune\n";
  const bool prompt = IsPrompt(settings);
  if (adapter) card += prompt ? "- prompt-tuning\n" : "- lora\n";
  card += "---\n\n# ";
  card += adapter ? (prompt ? "A prompt for " : "A LoRA adapter for ") : "Fine-tuned from ";
  card += base + "\n\n";
  return card + Table(lineage) + "\n" + Usage(root, base, settings, adapter);
}

}  // namespace attune::engine
