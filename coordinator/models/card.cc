#include "coordinator/models/card.h"

#include <google/protobuf/util/time_util.h>

#include <nlohmann/json.hpp>

#include "common/base/text.h"
#include "coordinator/models/inspect.h"
#include "coordinator/versions/reference.h"

namespace attune::models {
namespace {

using json = nlohmann::ordered_json;  // a spec keeps the order in which it was written

// Text of unknown origin in a line of markdown: it begins no row, column, tag or code of its own.
std::string Plain(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      out += ' ';
    } else if (c == '|' || c == '`' || c == '*' || c == '[' || c == '\\') {
      out += std::string("\\") + c;
    } else if (c == '<') {
      out += "&lt;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Number(double value) {
  return ShortNumber(value, 6);
}

std::string Time(const google::protobuf::Timestamp& time) {
  return time.seconds() == 0 ? "" : google::protobuf::util::TimeUtil::ToString(time);
}

std::string NameOf(const v1::ModelVersion& version) {
  return versions::FormatReference(version.name(), version.version());
}

std::string Row(const std::string& name, const std::string& value) {
  return value.empty() ? "" : "| " + name + " | " + value + " |\n";
}

// The cells of a value and its one-sided bounds; the value's alone where nothing was estimated.
std::string WithBounds(double value, double lower, double upper) {
  if (lower == upper) return Number(value) + " |  | ";
  return Number(value) + " | " + Number(lower) + " | " + Number(upper);
}

constexpr char kBounds[] =
    "\nAt least and at most are one-sided bounds: each alone holds with the confidence.\n";

// A JSON string is a YAML string.
std::string Quoted(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Whether a job tuned a prompt; what was imported does not say.
bool IsPrompt(const v1::ModelVersion& version) {
  const json spec = json::parse(version.lineage().spec(), nullptr, false);
  const json method = spec.is_object() ? spec.value("method", json()) : json();
  return version.format() == kAdapter && method.is_object() &&
         method.value("type", json()) == "prompt-tuning";
}

std::string FrontMatter(const v1::ModelVersion& version) {
  const bool adapter = version.format() == kAdapter;
  const std::string& base = version.base().empty() ? version.lineage().base() : version.base();
  std::string text = "---\n";
  if (!base.empty()) text += "base_model: " + Quoted(base) + "\n";
  text += adapter ? "library_name: peft\n" : "library_name: transformers\n";
  text += "pipeline_tag: text-generation\ntags:\n- attune\n";
  if (adapter) text += IsPrompt(version) ? "- prompt-tuning\n" : "- lora\n";
  return text + "---\n\n";
}

std::string WhatItIs(const v1::ModelVersion& version) {
  const v1::Lineage& lineage = version.lineage();
  std::string text = "# " + NameOf(version) + "\n\n| | |\n|---|---|\n";
  std::string format = version.format();
  if (!version.architecture().empty()) format += ", " + version.architecture();
  text += Row("format", Plain(format));
  if (version.parameters() > 0) text += Row("parameters", std::to_string(version.parameters()));
  text += Row("size", std::to_string(version.bytes()) + " bytes");
  text += Row("adapter of", Plain(version.base()));
  text += Row("trained from", Plain(lineage.base()));
  text += Row("imported from", lineage.job_id().empty() ? Plain(lineage.source()) : "");
  text += Row("job", Plain(lineage.job_id()));
  text += Row("update", Plain(lineage.update()));
  std::string aliases;
  for (const std::string& alias : version.aliases()) {
    aliases += (aliases.empty() ? "" : ", ") + alias;
  }
  text += Row("aliases", Plain(aliases));
  text += Row("created", Time(version.created()));
  text += Row("code", Plain(lineage.code_version()));
  text += Row("checksum (sha256)", version.checksum());
  if (version.files_removed()) text += Row("files", "removed; what is known of it is kept");
  return text + "\n";
}

std::string Data(const CardFacts& facts) {
  const v1::Lineage& lineage = facts.version.lineage();
  if (lineage.datasets().empty()) return "";
  std::string text =
      "## Data\n\n| data set | train | validation | checksum (sha256) |\n|---|---|---|---|\n";
  for (int i = 0; i < lineage.datasets_size(); ++i) {
    const std::string& name = lineage.datasets(i);
    std::string train, validation;
    for (const v1::DatasetVersion& dataset : facts.datasets) {
      if (versions::FormatReference(dataset.name(), dataset.version()) != name) continue;
      const auto count = [&](const char* split) {
        auto found = dataset.examples().find(split);
        return std::to_string(found == dataset.examples().end() ? 0 : found->second);
      };
      train = count("train");
      validation = count("validation");
    }
    text += "| " + Plain(name) + " | " + train + " | " + validation + " | " +
            (i < lineage.dataset_checksums_size() ? lineage.dataset_checksums(i) : "") + " |\n";
  }
  return text + "\n";
}

std::string Training(const v1::Lineage& lineage) {
  const json spec = json::parse(lineage.spec(), nullptr, false);
  if (!spec.is_object()) return "";
  std::string text = "## Training\n\n";
  if (spec.contains("method") && spec["method"].is_object()) {
    text += "Method: ";
    std::string parts;
    for (const auto& [key, value] : spec["method"].items()) {
      const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
      parts += (parts.empty() ? "" : ", ") + key + " " + Plain(shown);
    }
    text += parts + ".\n\n";
  }
  return text + "The job as it ran, every default filled in:\n\n```json\n" +
         spec.dump(2, ' ', false, json::error_handler_t::replace) + "\n```\n\n";
}

std::string Metrics(const v1::ModelVersion& version) {
  if (version.metrics().empty()) return "";
  std::map<std::string, double> sorted(version.metrics().begin(), version.metrics().end());
  std::string text = "## Metrics\n\n| metric | value |\n|---|---|\n";
  for (const auto& [name, value] : sorted) text += Row(Plain(name), Number(value));
  return text + "\n";
}

std::string VerdictName(v1::GateReport::Verdict verdict) {
  switch (verdict) {
    case v1::GateReport::PASSED:
      return "passed";
    case v1::GateReport::FAILED:
      return "failed";
    case v1::GateReport::INCONCLUSIVE:
      return "inconclusive";
    default:
      return "not decided";
  }
}

std::string Gates(const v1::GateReport& report) {
  std::string text =
      "## Gates\n\n" + VerdictName(report.verdict()) + ": " + Plain(report.summary()) + "\n\n";
  text += "Compared with " +
          (report.champion().empty() ? std::string("no champion") : Plain(report.champion())) +
          ".\n\n| gate | verdict | value | at least | at most | limit | confidence | examples | "
          "method |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const v1::GateResult& gate : report.gates()) {
    text += "| " + Plain(gate.gate() + " " + gate.name()) + " | " + VerdictName(gate.verdict()) +
            " | " + WithBounds(gate.value(), gate.lower(), gate.upper()) + " | " +
            Number(gate.bound()) + " | " + Number(gate.confidence()) + " | " +
            std::to_string(gate.examples()) + " | " + Plain(gate.method()) + " |\n";
  }
  text += kBounds;
  if (report.skills_size() > 0) {
    text +=
        "\nWhat the old model knew:\n\n| skill | metric | before | after | worse by | at least | "
        "at most | budget | kept |\n|---|---|---|---|---|---|---|---|---|\n";
  }
  for (const v1::SkillChange& skill : report.skills()) {
    text += "| " + Plain(skill.skill()) + " | " + Plain(skill.metric()) + " | " +
            Number(skill.before()) + " | " + Number(skill.after()) + " | " +
            WithBounds(skill.worse_by(), skill.lower(), skill.upper()) + " | " +
            Number(skill.budget()) + " | " + (skill.kept() ? "yes" : "no: forgotten") + " |\n";
  }
  return text + "\nFacts: sha256 " + report.facts_checksum() + ".\n\n";
}

std::string Aliases(const std::vector<v1::AliasMove>& moves) {
  if (moves.empty()) return "";
  const auto version = [](uint32_t number) {
    return number == 0 ? std::string("-") : std::to_string(number);
  };
  std::string text =
      "## Aliases\n\n| time | alias | move | from | to | by | reason | evidence |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const v1::AliasMove& move : moves) {
    text += "| " + Time(move.time()) + " | " + move.alias() + " | " + move.kind() + " | " +
            version(move.from_version()) + " | " + version(move.to_version()) + " | " +
            Plain(move.actor()) + " | " + Plain(move.reason()) + " | " + Plain(move.evidence()) +
            " |\n";
  }
  return text + "\n";
}

std::string Use(const v1::ModelVersion& version) {
  if (version.files_removed()) return "";
  const std::string name = NameOf(version);
  std::string text = "## Use\n\n```sh\nattune model generate " + name +
                     " --prompt '...'\nattune model export " + name + " FOLDER";
  if (version.format() != kAdapter) {
    return text +
           "\n```\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
           "model = AutoModelForCausalLM.from_pretrained(\"FOLDER\")\n"
           "tokenizer = AutoTokenizer.from_pretrained(\"FOLDER\")\n```\n";
  }
  if (IsPrompt(version)) return text + "           # the prompt, for peft, beside its base\n```\n";
  return text + "           # the adapter, for peft\nattune model export " + name +
         " MERGED --merge   # whole, for transformers\n```\n\n```python\n"
         "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
         "model = AutoModelForCausalLM.from_pretrained(\"MERGED\")\n"
         "tokenizer = AutoTokenizer.from_pretrained(\"MERGED\")\n```\n";
}

}  // namespace

std::string RenderCard(const CardFacts& facts) {
  const v1::ModelVersion& version = facts.version;
  return FrontMatter(version) + WhatItIs(version) + Data(facts) + Training(version.lineage()) +
         Metrics(version) + (facts.gates ? Gates(*facts.gates) : "") + Aliases(facts.moves) +
         Use(version);
}

}  // namespace attune::models
