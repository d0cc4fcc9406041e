#include "common/spec/check.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/files.h"
#include "common/spec/job_spec.h"

namespace attune::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Wrong = std::function<void(const std::string&, const std::string&)>;

// One number as the YAML reader would see it, so that both give the same message.
std::string CheckNumber(double value, const Field& field, bool whole) {
  if (std::isfinite(value) && value >= field.range.min && value <= field.range.max) return "";
  yaml::Node node;
  node.kind = yaml::Node::Kind::kScalar;
  node.scalar = yaml::FormatNumber(value);
  double unused_number;
  uint64_t unused_whole;
  std::string wrong = whole ? yaml::Convert(node, &unused_whole, field.range)
                            : yaml::Convert(node, &unused_number, field.range);
  return wrong;
}

std::string CheckString(const std::string& value, const Field& field) {
  yaml::Node node;
  node.kind = yaml::Node::Kind::kScalar;
  node.scalar = value;
  std::string unused;
  return yaml::Convert(node, &unused, yaml::OneOf{field.values});
}

// What is wrong with a field's own value, "" when nothing is.
std::string CheckValue(const Place& place, const Field& field) {
  const Message& message = *place.message;
  const auto* reflection = message.GetReflection();
  if (place.field->is_repeated()) {
    int count = reflection->FieldSize(message, place.field);
    const auto check = [&](int i) {
      switch (place.field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_DOUBLE:
          return CheckNumber(reflection->GetRepeatedDouble(message, place.field, i), field, false);
        case FieldDescriptor::CPPTYPE_UINT32:
          return CheckNumber(reflection->GetRepeatedUInt32(message, place.field, i), field, true);
        default:
          return CheckString(reflection->GetRepeatedString(message, place.field, i), field);
      }
    };
    for (int i = 0; i < count; ++i) {
      std::string wrong = check(i);
      if (!wrong.empty()) return "a list in which each is " + wrong;
    }
    return count == 0 ? "a list that is not empty" : "";
  }
  switch (place.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return CheckNumber(reflection->GetUInt32(message, place.field), field, true);
    case FieldDescriptor::CPPTYPE_UINT64:
      return CheckNumber(static_cast<double>(reflection->GetUInt64(message, place.field)), field,
                         true);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return CheckNumber(reflection->GetDouble(message, place.field), field, false);
    case FieldDescriptor::CPPTYPE_STRING:
      return CheckString(reflection->GetString(message, place.field), field);
    default:
      return "";
  }
}

// What is wrong with how much of a data set is asked for, "" when nothing is.
std::string CheckAmount(const v1::DatasetRef& dataset) {
  if (dataset.share() != 0) {
    if (dataset.weight() != 0) return " has a weight and a share: keep one of them";
    if (dataset.share() >= kShareMin && dataset.share() <= kShareMax) return "";
    return ": share must be a number from " + yaml::FormatNumber(kShareMin) + " to " +
           yaml::FormatNumber(kShareMax) + ", not '" + yaml::FormatNumber(dataset.share()) + "'";
  }
  if (dataset.weight() > 0 && dataset.weight() <= 1000) return "";
  return ": weight must be a number above 0, at most 1000, not '" +
         yaml::FormatNumber(dataset.weight()) + "'";
}

// A share is measured by what has none.
void CheckShares(const v1::JobSpec& spec, const Wrong& wrong) {
  double sum = 0;
  bool all = true;
  for (const v1::DatasetRef& dataset : spec.datasets()) {
    sum += dataset.share();
    all = all && dataset.share() > 0;
  }
  if (all) {
    return wrong("dataset",
                 "every data set has a share: give a weight, or neither, to those that the shares "
                 "are mixed in with");
  }
  if (sum > kShareMax) {
    wrong("dataset", "the shares of dataset add up to " + yaml::FormatNumber(sum) +
                         ": they must stay below 1, since the other data sets have the rest");
  }
}

void CheckDatasets(const v1::JobSpec& spec, const Wrong& wrong) {
  constexpr int kMost = 64;
  if (spec.datasets_size() == 0) {
    return wrong("dataset", "missing key 'dataset', which is required");
  }
  if (spec.datasets_size() > kMost)
    return wrong("dataset", "dataset must list at most 64 data sets");
  std::set<std::string> seen;
  for (int i = 0; i < spec.datasets_size(); ++i) {
    const v1::DatasetRef& dataset = spec.datasets(i);
    std::string path = spec.datasets_size() == 1 ? "dataset" : "dataset[" + std::to_string(i) + "]";
    if (!IsReference(dataset.name())) {
      wrong(path,
            path + " must be a data set's NAME or NAME@VERSION, not '" + dataset.name() + "'");
    }
    if (std::string amount = CheckAmount(dataset); !amount.empty()) wrong(path, path + amount);
    if (!seen.insert(dataset.name()).second) {
      wrong(path, path + ": data set '" + dataset.name() + "' is listed twice; add up the weights");
    }
  }
  CheckShares(spec, wrong);
}

void CheckNames(const v1::JobSpec& spec, const Wrong& wrong) {
  const std::string form = ": 1 to 63 of a-z, 0-9, '.', '_' and '-', first a letter or a digit";
  if (!IsReference(spec.base())) {
    wrong("base",
          "base must be a model's NAME, NAME@VERSION or NAME@ALIAS, not '" + spec.base() + "'");
  }
  if (!IsValidName(spec.name())) {
    wrong("name", "'" + spec.name() + "' cannot be a job's name" + form);
  }
  if (!IsValidName(spec.register_().model())) {
    wrong("register.model", "'" + spec.register_().model() + "' cannot be a model's name" + form);
  }
}

bool IsModuleName(const std::string& name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.'; });
}

void CheckModulesToSave(const v1::MethodSpec& method, const Wrong& wrong) {
  for (const std::string& module : method.modules_to_save()) {
    if (IsModuleName(module)) continue;
    wrong("method.modules_to_save",
          "'" + module + "' is no module's name: use names such as embed_tokens or lm_head");
  }
}

void CheckTargetModules(const v1::MethodSpec& method, const Wrong& wrong) {
  if (method.type() == "full" || method.type() == "prompt-tuning") return;
  for (const std::string& module : method.target_modules()) {
    bool group = module == "all-linear" || module == "attention";
    if (group && method.target_modules_size() > 1) {
      wrong("method.target_modules",
            "'" + module + "' must be the only entry of method.target_modules");
    }
    if (!group && !IsModuleName(module)) {
      wrong("method.target_modules",
            "'" + module +
                "' is no module's name: use all-linear, attention, mlp, or names such as q_proj");
    }
  }
}

void CheckTask(const v1::JobSpec& spec, const Wrong& wrong) {
  if (spec.method().type() != "prompt-tuning") return;
  const std::string& task = spec.task().type();
  for (const char* learned : {"", "auto", "causal-lm", "preference"}) {
    if (task == learned) return;
  }
  wrong("method.type", "method.type prompt-tuning learns task.type causal-lm or preference, not '" +
                           task + "': use lora or full");
}

void CheckTogether(const v1::JobSpec& spec, const Wrong& wrong) {
  auto text = [](uint32_t value) { return std::to_string(value); };
  const v1::TrainSpec& train = spec.train();
  if (spec.ranks().min() > spec.ranks().max()) {
    wrong("ranks.max", "ranks.max (" + text(spec.ranks().max()) + ") is less than ranks.min (" +
                           text(spec.ranks().min()) + ")");
  }
  if (train.global_batch() < spec.ranks().max()) {
    wrong("train.global_batch", "train.global_batch (" + text(train.global_batch()) +
                                    ") is less than ranks.max (" + text(spec.ranks().max()) +
                                    "): some ranks would have nothing to do");
  }
  if (train.micro_batch() > train.global_batch()) {
    wrong("train.micro_batch", "train.micro_batch (" + text(train.micro_batch()) +
                                   ") is more than train.global_batch (" +
                                   text(train.global_batch()) + ")");
  }
  if (spec.evaluate().patience() > 0 && spec.evaluate().every_steps() == 0) {
    wrong("evaluate.patience", "evaluate.patience counts evaluations: set evaluate.every_steps");
  }
  if (const std::string& task = spec.task().type();
      spec.evaluate().metric() == "accuracy" &&
      (task == "causal-lm" || task == "seq2seq" || task == "masked-lm")) {
    wrong("evaluate.metric", "evaluate.metric: task " + task +
                                 " has no accuracy, as classification, embedding and preference "
                                 "have: use loss");
  }
  if (train.max_steps() > 0 && spec.optimizer().warmup_steps() > train.max_steps()) {
    wrong("optimizer.warmup_steps",
          "optimizer.warmup_steps (" + text(spec.optimizer().warmup_steps()) +
              ") is more than train.max_steps (" + text(train.max_steps()) + ")");
  }
  if (FindField("optimizer.betas")->applies(spec) && spec.optimizer().betas_size() != 2) {
    wrong("optimizer.betas", "optimizer.betas must be two numbers, such as [0.9, 0.999]");
  }
}

}  // namespace

Place Resolve(v1::JobSpec* spec, std::string_view path) {
  Message* message = spec;
  size_t dot = path.find('.');
  if (dot != path.npos) {
    const auto* section =
        message->GetDescriptor()->FindFieldByName(std::string(path.substr(0, dot)));
    ATTUNE_CHECK(section != nullptr);
    message = message->GetReflection()->MutableMessage(message, section);
    path.remove_prefix(dot + 1);
  }
  const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(std::string(path));
  ATTUNE_CHECK(field != nullptr);
  return {message, field};
}

bool IsUnset(const Place& place) {
  const auto* reflection = place.message->GetReflection();
  return place.field->is_repeated() ? reflection->FieldSize(*place.message, place.field) == 0
                                    : !reflection->HasField(*place.message, place.field);
}

void CheckJobSpec(const v1::JobSpec& spec, const Wrong& wrong) {
  v1::JobSpec copy = spec;  // reflection walks a mutable one
  bool sound = true;
  auto note = [&](const std::string& path, const std::string& message) {
    sound = false;
    wrong(path, message);
  };
  for (const Field& field : Schema()) {
    if (field.path == "dataset" || (field.applies != nullptr && !field.applies(spec))) continue;
    const Place place = Resolve(&copy, field.path);
    if (field.may_lack && IsUnset(place)) continue;
    std::string value = CheckValue(place, field);
    std::string path(field.path);
    if (!value.empty()) note(path, path + " must be " + value);
  }
  CheckDatasets(spec, note);
  if (!sound) return;  // what follows would only repeat it
  CheckNames(spec, wrong);
  CheckTargetModules(spec.method(), wrong);
  CheckModulesToSave(spec.method(), wrong);
  CheckTask(spec, wrong);
  CheckTogether(spec, wrong);
}

bool IsReference(const std::string& reference) {
  size_t at = reference.find('@');
  if (at == std::string::npos) return IsValidName(reference);
  return IsValidName(reference.substr(0, at)) && IsValidName(reference.substr(at + 1));
}

Status ValidateJobSpec(const v1::JobSpec& spec) {
  Status first;
  CheckJobSpec(spec, [&](const std::string& path, const std::string& message) {
    if (first.ok()) first = InvalidArgument(message).WithField(path);
  });
  return first;
}

}  // namespace attune::spec
