#include "common/spec/stream_spec.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "common/base/files.h"
#include "common/spec/job_spec.h"
#include "common/yaml/reader.h"

namespace attune::spec {
namespace {

using Wrong = std::function<void(const std::string&, const std::string&)>;

constexpr yaml::Range kExamples{10, 100'000};
constexpr yaml::Range kSeconds{1, 90 * 86400.0};
constexpr yaml::Range kFalseAlarms{1e-6, 100};
constexpr yaml::Range kPersistence{1, 20};
constexpr yaml::Range kAuc{0.5, 1};
constexpr yaml::Range kFraction{0.001, 0.9};
constexpr yaml::Range kEffect{0, 100};
constexpr yaml::Range kDistance{0, 1};
constexpr int kFoldersMax = 64, kCategoriesMax = 32;
constexpr size_t kCategoryBytesMax = 128;

std::string TooFewAtMost(const v1::WindowSpec& window) {
  if (window.examples_min() <= window.examples()) return "";
  return "window.examples_min (" + std::to_string(window.examples_min()) +
         ") is more than window.examples (" + std::to_string(window.examples()) + ")";
}

struct Number {
  const char* path;
  double value;
  yaml::Range range;
};

void CheckNumbers(const v1::StreamSpec& spec, const Wrong& wrong) {
  const v1::WindowSpec& window = spec.window();
  const v1::AlarmSpec& alarm = spec.alarm();
  const Number numbers[] = {
      {"window.examples", static_cast<double>(window.examples()), kExamples},
      {"window.seconds", window.seconds(), kSeconds},
      {"window.examples_min", static_cast<double>(window.examples_min()), kExamples},
      {"window.validation_fraction", window.validation_fraction(), kFraction},
      {"alarm.false_alarms_per_week", alarm.false_alarms_per_week(), kFalseAlarms},
      {"alarm.persistence", static_cast<double>(alarm.persistence()), kPersistence},
      {"alarm.psi_min", alarm.psi_min(), kEffect},
      {"alarm.auc_min", alarm.auc_min(), kAuc},
      {"alarm.loss_min", alarm.loss_min(), kEffect},
      {"alarm.length_min", alarm.length_min(), kEffect},
      {"alarm.vocabulary_min", alarm.vocabulary_min(), kDistance},
      {"alarm.quality_min", alarm.quality_min(), kEffect},
  };
  for (const Number& number : numbers) {
    const yaml::Range& range = number.range;
    if (number.value >= range.min && number.value <= range.max) continue;
    wrong(number.path, std::string(number.path) + " must be from " + yaml::FormatNumber(range.min) +
                           " to " + yaml::FormatNumber(range.max) + ", not " +
                           yaml::FormatNumber(number.value));
  }
  std::string too_few = TooFewAtMost(window);
  if (!too_few.empty()) wrong("window.examples_min", too_few);
}

void CheckNames(const v1::StreamSpec& spec, const Wrong& wrong) {
  const std::string form = ": 1 to 63 of a-z, 0-9, '.', '_' and '-', first a letter or a digit";
  if (!IsValidName(spec.name())) {
    wrong("name", "'" + spec.name() + "' cannot be a stream's name" + form);
  }
  if (!IsReference(spec.model())) {
    wrong("model", "model must be NAME@ALIAS, NAME@VERSION or NAME, not '" + spec.model() + "'");
  }
  if (!spec.reference().empty() && !IsReference(spec.reference())) {
    wrong("reference",
          "reference must be a data set's NAME or NAME@VERSION, not '" + spec.reference() + "'");
  }
  if (spec.reference() == spec.name()) {
    wrong("reference", "reference must not be the stream's own windows");
  }
}

constexpr std::string_view kBucket = "s3://";

void CheckLists(const v1::StreamSpec& spec, const Wrong& wrong) {
  if (spec.folders_size() > kFoldersMax) {
    wrong("folders", "folders must list at most " + std::to_string(kFoldersMax));
  }
  for (const std::string& folder : spec.folders()) {
    if (IsBucket(folder)) {
      // It is stored, and shown to whoever may list streams.
      if (folder.substr(0, folder.find('/', kBucket.size())).find('@') == std::string::npos)
        continue;
      wrong("folders",
            "an s3:// address must not hold credentials: they are the coordinator's own");
    } else if (!std::filesystem::path(folder).is_absolute()) {
      wrong("folders",
            "folders must be absolute paths, as the coordinator sees them, or "
            "s3://BUCKET/PREFIX, not '" +
                folder + "'");
    }
  }
  if (spec.categories_size() > kCategoriesMax) {
    wrong("categories", "categories must list at most " + std::to_string(kCategoriesMax));
  }
  std::set<std::string> seen;
  for (const std::string& category : spec.categories()) {
    if (category.empty() || category.size() > kCategoryBytesMax) {
      wrong("categories", "a category must be a metadata key of 1 to 128 bytes");
    } else if (!seen.insert(category).second) {
      wrong("categories", "category '" + category + "' is listed twice");
    }
  }
}

void ReadWindow(yaml::Reader& reader, v1::WindowSpec* window) {
  uint32_t examples = 0, examples_min = 0;
  std::chrono::milliseconds time(0);
  double fraction = 0;
  reader.Optional("validation_fraction", &fraction, kFraction);
  reader.Optional("examples", &examples, kExamples);
  reader.Optional("examples_min", &examples_min, kExamples);
  reader.Optional("time", &time, kSeconds);
  v1::StreamSpec filled;
  filled.mutable_window()->set_examples(examples);
  filled.mutable_window()->set_examples_min(examples_min);
  filled.mutable_window()->set_seconds(std::chrono::duration<double>(time).count());
  filled.mutable_window()->set_validation_fraction(fraction);
  FillDefaults(&filled);
  *window = filled.window();
  std::string too_few = TooFewAtMost(*window);
  if (!too_few.empty()) reader.Fail("examples_min", too_few);
}

void ReadAlarm(yaml::Reader& reader, v1::AlarmSpec* alarm) {
  auto number = [&](const char* key, const yaml::Range& range, auto set) {
    double value = 0;
    if (!reader.Optional(key, &value, range)) return;
    // In the message 0 is a field that is not set.
    if (value == 0) reader.Fail(key, std::string(key) + " must be above 0");
    (alarm->*set)(value);
  };
  uint32_t persistence = 0;
  reader.Optional("persistence", &persistence, kPersistence);
  alarm->set_persistence(persistence);
  number("false_alarms_per_week", kFalseAlarms, &v1::AlarmSpec::set_false_alarms_per_week);
  number("psi", kEffect, &v1::AlarmSpec::set_psi_min);
  number("auc", kAuc, &v1::AlarmSpec::set_auc_min);
  number("length", kEffect, &v1::AlarmSpec::set_length_min);
  number("vocabulary", kDistance, &v1::AlarmSpec::set_vocabulary_min);
  number("loss", kEffect, &v1::AlarmSpec::set_loss_min);
  number("quality", kEffect, &v1::AlarmSpec::set_quality_min);
}

std::string YamlList(const google::protobuf::RepeatedPtrField<std::string>& items) {
  std::string list;
  for (const std::string& item : items) {
    std::string quoted = "'";
    for (char c : item) quoted += c == '\'' ? "''" : std::string(1, c);
    list += (list.empty() ? "" : ", ") + quoted + "'";
  }
  return "[" + list + "]\n";
}

}  // namespace

bool IsBucket(const std::string& folder) {
  return folder.starts_with(kBucket);
}

void FillDefaults(v1::StreamSpec* spec) {
  v1::WindowSpec* window = spec->mutable_window();
  if (window->examples() == 0) window->set_examples(500);
  if (window->seconds() == 0) window->set_seconds(86400);
  if (window->examples_min() == 0) window->set_examples_min(std::min(50u, window->examples()));
  if (window->validation_fraction() == 0) window->set_validation_fraction(0.1);
  FillDefaults(spec->mutable_alarm());
}

void FillDefaults(v1::AlarmSpec* alarm) {
  if (alarm->false_alarms_per_week() == 0) alarm->set_false_alarms_per_week(0.05);
  if (alarm->persistence() == 0) alarm->set_persistence(2);
  if (alarm->psi_min() == 0) alarm->set_psi_min(0.2);
  if (alarm->auc_min() == 0) alarm->set_auc_min(0.6);
  if (alarm->length_min() == 0) alarm->set_length_min(0.1);
  if (alarm->vocabulary_min() == 0) alarm->set_vocabulary_min(0.05);
  if (alarm->loss_min() == 0) alarm->set_loss_min(0.05);
  // quality_min follows from the reference's loss.
}

Result<v1::StreamSpec> ParseStreamSpec(std::string text, std::string name,
                                       const std::string& base_folder) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::Parse(std::move(text), std::move(name)));
  yaml::Reader reader(document);
  v1::StreamSpec spec;
  reader.Required("name", spec.mutable_name());
  reader.Required("model", spec.mutable_model());
  reader.Optional("reference", spec.mutable_reference());
  std::vector<std::string> folders, categories;
  reader.Optional("folders", &folders);
  reader.Optional("categories", &categories);
  for (const std::string& folder : folders) {
    if (IsBucket(folder)) {
      spec.add_folders(folder);
      continue;
    }
    std::filesystem::path path = std::filesystem::path(base_folder) / folder;
    spec.add_folders(path.lexically_normal().string());
  }
  for (const std::string& category : categories) spec.add_categories(category);
  reader.Section("window", [&](yaml::Reader& w) { ReadWindow(w, spec.mutable_window()); });
  reader.Section("alarm", [&](yaml::Reader& a) { ReadAlarm(a, spec.mutable_alarm()); });
  auto wrong = [&](const std::string& path, const std::string& message) {
    reader.Fail(path, message);
  };
  // A missing name was complained about already.
  if (!spec.name().empty() && !spec.model().empty()) CheckNames(spec, wrong);
  CheckLists(spec, wrong);
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  FillDefaults(&spec);
  return spec;
}

Status ValidateStreamSpec(const v1::StreamSpec& spec) {
  Status first;
  auto wrong = [&](const std::string& path, const std::string& message) {
    if (first.ok()) first = InvalidArgument(message).WithField("spec." + path);
  };
  CheckNames(spec, wrong);
  CheckNumbers(spec, wrong);
  CheckLists(spec, wrong);
  return first;
}

std::string ToYaml(const v1::StreamSpec& spec) {
  const v1::WindowSpec& window = spec.window();
  const v1::AlarmSpec& alarm = spec.alarm();
  auto number = [](double value) { return yaml::FormatNumber(value); };
  std::string out = "name: '" + spec.name() + "'\nmodel: '" + spec.model() + "'\n";
  if (!spec.reference().empty()) out += "reference: '" + spec.reference() + "'\n";
  out += "window: {examples: " + std::to_string(window.examples()) +
         ", time: " + number(window.seconds()) +
         "s, examples_min: " + std::to_string(window.examples_min()) +
         ", validation_fraction: " + number(window.validation_fraction()) + "}\n";
  if (spec.folders_size() > 0) out += "folders: " + YamlList(spec.folders());
  if (spec.categories_size() > 0) out += "categories: " + YamlList(spec.categories());
  return out + "alarm: {false_alarms_per_week: " + number(alarm.false_alarms_per_week()) +
         ", persistence: " + std::to_string(alarm.persistence()) +
         ", psi: " + number(alarm.psi_min()) + ", auc: " + number(alarm.auc_min()) +
         ", length: " + number(alarm.length_min()) +
         ", vocabulary: " + number(alarm.vocabulary_min()) + ", loss: " + number(alarm.loss_min()) +
         (alarm.quality_min() > 0 ? ", quality: " + number(alarm.quality_min()) : "") + "}\n";
}

}  // namespace attune::spec
