#include "common/spec/job_spec.h"

#include <map>
#include <set>

#include "common/spec/check.h"
#include "common/spec/json.h"
#include "common/spec/schema.h"
#include "common/yaml/document.h"
#include "common/yaml/nearest.h"
#include "common/yaml/problems.h"

namespace attune::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using yaml::Entry;
using yaml::Node;

// Writes a node's value into the field; "" or what the value must be instead.
std::string Assign(const Node& node, const Field& field, const Place& place) {
  Message* message = place.message;
  const auto* reflection = message->GetReflection();
  const yaml::OneOf words{field.values};
  auto assign = [&](auto value, auto constraint, auto set) {
    std::string wrong = yaml::Convert(node, &value, constraint);
    if (wrong.empty()) set(value);
    return wrong;
  };
  if (place.field->is_repeated()) {
    reflection->ClearField(message, place.field);
    if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      return assign(std::vector<std::string>(), words, [&](const auto& values) {
        for (const auto& value : values) reflection->AddString(message, place.field, value);
      });
    }
    if (place.field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      return assign(std::vector<uint32_t>(), field.range, [&](const auto& values) {
        for (uint32_t value : values) reflection->AddUInt32(message, place.field, value);
      });
    }
    return assign(std::vector<double>(), field.range, [&](const auto& values) {
      for (double value : values) reflection->AddDouble(message, place.field, value);
    });
  }
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return assign(std::string(), words,
                    [&](auto value) { reflection->SetString(message, place.field, value); });
    case FieldDescriptor::CPPTYPE_UINT32:
      return assign(uint32_t{}, field.range,
                    [&](auto value) { reflection->SetUInt32(message, place.field, value); });
    case FieldDescriptor::CPPTYPE_UINT64:
      return assign(uint64_t{}, field.range,
                    [&](auto value) { reflection->SetUInt64(message, place.field, value); });
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return assign(double{}, field.range,
                    [&](auto value) { reflection->SetDouble(message, place.field, value); });
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool value = false;
      std::string wrong = yaml::Convert(node, &value);
      if (wrong.empty()) reflection->SetBool(message, place.field, value);
      return wrong;
    }
    default:
      ATTUNE_CHECK(false && "a type that the schema has no reader for");
      return "";
  }
}

class Parser {
 public:
  // start: where what is missing as a whole is shown.
  Parser(const Node& root, const yaml::Position& start) : root_(root), start_(start) {}

  Result<v1::JobSpec> Run() {
    const Node& root = root_;
    if (root.kind != Node::Kind::kMap && root.kind != Node::Kind::kNull) {
      problems_.Add(root.position, "", "a job spec holds keys and values, not " + root.Describe());
      return problems_.ToStatus();
    }
    for (const Entry& entry : root.entries) ReadTop(entry);
    FillIn();
    if (problems_.empty()) {
      CheckJobSpec(spec_, [&](const std::string& path, const std::string& message) {
        problems_.Add(PositionOf(path), path, message);
      });
    }
    if (!problems_.empty()) return problems_.ToStatus();
    return std::move(spec_);
  }

 private:
  void ReadTop(const Entry& entry) {
    if (entry.key == "dataset") return ReadDatasets(entry);
    if (FindField(entry.key) != nullptr) return ReadField(entry.key, entry.value);
    if (!IsSection(entry.key)) return RefuseUnknown("", entry);
    if (entry.value.kind == Node::Kind::kScalar) {
      if (ReadShortForm(entry)) return;
    }
    if (entry.value.kind != Node::Kind::kMap && entry.value.kind != Node::Kind::kNull) {
      problems_.Add(
          entry.value.position, entry.key,
          entry.key + " must be a section of keys and values, not " + entry.value.Describe());
      return;
    }
    sections_[entry.key] = entry.key_position;
    for (const Entry& inner : entry.value.entries) {
      std::string path = entry.key + "." + inner.key;
      if (FindField(path) != nullptr) {
        ReadField(path, inner.value);
      } else {
        RefuseUnknown(entry.key, inner);
      }
    }
  }

  // `ranks: 2`, `task: classification`, `method: lora`, `regularize: ewc`, `register: NAME`.
  bool ReadShortForm(const Entry& entry) {
    if (entry.key == "ranks") {
      ReadField("ranks.min", entry.value, "ranks");
      if (problems_.empty()) ReadField("ranks.max", entry.value, "ranks");
    } else if (entry.key == "task") {
      ReadField("task.type", entry.value);
    } else if (entry.key == "method") {
      ReadField("method.type", entry.value);
    } else if (entry.key == "regularize") {
      ReadField("regularize.type", entry.value);
    } else if (entry.key == "register") {
      ReadField("register.model", entry.value);
    } else {
      return false;
    }
    return true;
  }

  void ReadField(const std::string& path, const Node& value, std::string_view shown = "") {
    const Field& field = *FindField(path);
    positions_[path] = value.position;
    std::string wrong = Assign(value, field, Resolve(&spec_, path));
    if (wrong.empty()) return;
    failed_.insert(path);
    problems_.Add(
        value.position, path,
        std::string(shown.empty() ? std::string_view(path) : shown) + " must be " + wrong);
  }

  void ReadDatasets(const Entry& entry) {
    positions_["dataset"] = entry.value.position;
    if (entry.value.kind != Node::Kind::kSequence)
      return ReadDataset(entry.value, "dataset", false);
    for (size_t i = 0; i < entry.value.items.size(); ++i) {
      std::string path = "dataset[" + std::to_string(i) + "]";
      positions_[path] = entry.value.items[i].position;
      ReadDataset(entry.value.items[i], path, true);
    }
  }

  void ReadDataset(const Node& node, const std::string& path, bool listed) {
    v1::DatasetRef* dataset = spec_.add_datasets();
    dataset->set_weight(1);
    if (node.kind == Node::Kind::kMap) return ReadDatasetKeys(node, path, dataset);
    std::string name;
    const std::string wrong = yaml::Convert(node, &name);
    const char* form = listed ? " must be a data set's name or {name, weight}, not "
                              : " must be a data set's name or a list of {name, weight}, not ";
    if (!wrong.empty()) FailDataset(node.position, path, path + form + node.Describe());
    dataset->set_name(name);
  }

  void ReadDatasetKeys(const Node& node, const std::string& path, v1::DatasetRef* dataset) {
    std::string name;
    double weight = 1, share = 0;
    for (const Entry& entry : node.entries) {
      std::string wrong;
      if (entry.key == "name") {
        wrong = yaml::Convert(entry.value, &name);
      } else if (entry.key == "weight") {
        wrong = yaml::Convert(entry.value, &weight, yaml::Range{1e-6, 1000});
      } else if (entry.key == "share") {
        wrong = yaml::Convert(entry.value, &share, yaml::Range{kShareMin, kShareMax});
      } else {
        FailDataset(entry.key_position, path,
                    "unknown key '" + entry.key + "' in " + path +
                        "; a data set has name and weight, or name and share");
      }
      if (!wrong.empty()) {
        FailDataset(entry.value.position, path, path + "." + entry.key + " must be " + wrong);
      }
    }
    if (node.Find("name") == nullptr) {
      FailDataset(node.position, path, "missing key 'name' in " + path);
    }
    const bool has_share = node.Find("share") != nullptr;
    if (has_share && node.Find("weight") != nullptr) {
      FailDataset(node.position, path, path + " has a weight and a share: keep one of them");
    }
    dataset->set_name(name);
    dataset->set_weight(has_share ? 0 : weight);
    dataset->set_share(share);
  }

  void FailDataset(const yaml::Position& position, const std::string& path,
                   const std::string& message) {
    failed_.insert("dataset");
    problems_.Add(position, path, message);
  }

  void RefuseUnknown(const std::string& section, const Entry& entry) {
    std::string message = "unknown key '" + entry.key + "'";
    if (!section.empty()) message += " in " + section;
    std::string nearest = yaml::Nearest(entry.key, KeysOf(section));
    if (nearest.empty()) nearest = InAnotherSection(entry.key);
    if (!nearest.empty()) message += "; did you mean '" + nearest + "'?";
    std::string path = section.empty() ? entry.key : section + "." + entry.key;
    problems_.Add(entry.key_position, path, message);
  }

  static std::string InAnotherSection(const std::string& key) {
    for (const Field& field : Schema()) {
      size_t dot = field.path.find('.');
      if ((dot == field.path.npos ? field.path : field.path.substr(dot + 1)) == key) {
        return std::string(field.path);
      }
    }
    return "";
  }

  // Defaults in the table's order, so that a derived one sees what it derives from.
  void FillIn() {
    for (const Field& field : Schema()) {
      std::string path(field.path);
      bool given = positions_.count(path) > 0;
      bool applies = field.applies == nullptr || field.applies(spec_);
      const std::string decides(field.applies_key);
      if (given && !applies && failed_.count(decides) == 0) {
        problems_.Add(positions_[path], path,
                      path + " means something only " + std::string(field.applies_doc) +
                          ": remove it or change " + decides);
      }
      if (given || !applies) continue;
      if (field.required()) {
        problems_.Add(PositionOf(path), path,
                      "missing key '" + path + "', which is required: " + FirstSentence(field.doc));
        continue;
      }
      // A default derived from a field that is wrong may be wrong too; that field has its message.
      const Node value = Default(field);
      if (value.kind == Node::Kind::kScalar && value.scalar.empty()) continue;
      std::string wrong = Assign(value, field, Resolve(&spec_, path));
      ATTUNE_CHECK(wrong.empty() || !problems_.empty());
    }
  }

  Node Default(const Field& field) {
    const bool list = Resolve(&spec_, field.path).field->is_repeated();
    if (field.derive != nullptr && !list) return yaml::ScalarNode(field.derive(spec_));
    const std::string text =
        field.derive != nullptr ? field.derive(spec_) : std::string(field.fallback);
    auto value = yaml::Parse(text, "default");
    ATTUNE_CHECK(value.ok());
    return value->root();
  }

  static std::string FirstSentence(std::string_view doc) {
    size_t end = doc.find(". ");
    std::string sentence(doc.substr(0, end == doc.npos ? doc.size() - 1 : end));
    if (!sentence.empty()) sentence[0] = static_cast<char>(std::tolower(sentence[0]));
    return sentence;
  }

  // Where a path was set, else its section, else the start of the text.
  yaml::Position PositionOf(const std::string& path) const {
    if (auto it = positions_.find(path); it != positions_.end()) return it->second;
    if (auto it = sections_.find(path.substr(0, path.find('.'))); it != sections_.end()) {
      return it->second;
    }
    return start_;
  }

  const Node& root_;
  const yaml::Position start_;
  v1::JobSpec spec_;
  yaml::Problems problems_;
  std::map<std::string, yaml::Position> positions_, sections_;
  std::set<std::string> failed_;
};

std::string DatasetsYaml(const v1::JobSpec& spec) {
  if (spec.datasets_size() == 1 && spec.datasets(0).weight() == 1) {
    return "dataset: " + spec.datasets(0).name() + "\n";
  }
  std::string out = "dataset:\n";
  for (const auto& dataset : spec.datasets()) {
    const bool share = dataset.share() > 0;
    out += "  - {name: " + dataset.name() + (share ? ", share: " : ", weight: ") +
           yaml::FormatNumber(share ? dataset.share() : dataset.weight()) + "}\n";
  }
  return out;
}

}  // namespace

Result<v1::JobSpec> ParseJobSpec(std::string text, std::string name,
                                 const std::vector<std::string>& overrides) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::Parse(std::move(text), std::move(name)));
  for (const std::string& assignment : overrides) {
    ATTUNE_RETURN_IF_ERROR(document.Set(assignment));
  }
  return Parser(document.root(), {&document.source(), 1, 1}).Run();
}

Result<v1::JobSpec> ParseJobSpec(const yaml::Node& root) {
  return Parser(root, root.position).Run();
}

std::string ToYaml(const v1::JobSpec& spec) {
  std::string out;
  v1::JobSpec copy = spec;
  std::string section;
  for (const Field& field : Schema()) {
    if (field.applies != nullptr && !field.applies(spec)) continue;
    if (field.may_lack && IsUnset(Resolve(&copy, field.path))) continue;  // older
    if (field.path == "dataset") {
      out += DatasetsYaml(spec);
      continue;
    }
    size_t dot = field.path.find('.');
    std::string here(dot == field.path.npos ? "" : field.path.substr(0, dot));
    if (here != section && !here.empty()) out += here + ":\n";
    section = here;
    Place place = Resolve(&copy, field.path);
    std::string key(dot == field.path.npos ? field.path : field.path.substr(dot + 1));
    out += (here.empty() ? "" : "  ") + key + ": " +
           FieldToJson(*place.message, place.field).dump() + "\n";
  }
  return out;
}

}  // namespace attune::spec
