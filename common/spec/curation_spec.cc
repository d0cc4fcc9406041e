#include "common/spec/curation_spec.h"

#include <algorithm>
#include <vector>

namespace attune::spec {
namespace {

using Wrong = std::function<void(const std::string&, const std::string&)>;

constexpr yaml::Range kThreshold{0.5, 1};
constexpr yaml::Range kCharacters{0, 1e12};
constexpr int kPatternsMax = 200, kLanguagesMax = 100, kAgainstMax = 100;

const std::vector<std::string> kNearActions = {"together", "remove", "off"};
const std::vector<std::string> kUnknown = {"keep", "drop"};
const std::vector<std::string> kPatternActions = {"report", "redact", "drop"};
const std::vector<std::string> kContaminationActions = {"drop", "report"};

void ReadPattern(yaml::Reader& patterns, const std::string& name, v1::PatternSpec* pattern) {
  pattern->set_name(name);
  const yaml::Node* node = patterns.Find(name);
  if (node->kind != yaml::Node::Kind::kMap) {
    patterns.Optional(name, pattern->mutable_action(), yaml::OneOf{kPatternActions});
    return;
  }
  patterns.Section(name, [&](yaml::Reader& own) {
    own.Required("expression", pattern->mutable_expression());
    own.Required("action", pattern->mutable_action(), yaml::OneOf{kPatternActions});
  });
}

void ReadLists(yaml::Reader& reader, v1::CurationSpec* spec) {
  std::vector<std::string> names;
  reader.Section("languages", [&](yaml::Reader& languages) {
    languages.Required("keep", &names);
    languages.Optional("unknown", spec->mutable_languages()->mutable_unknown(),
                       yaml::OneOf{kUnknown});
  });
  for (const std::string& name : names) spec->mutable_languages()->add_keep(name);
  names.clear();
  reader.Section("contamination", [&](yaml::Reader& contamination) {
    contamination.Required("against", &names);
    contamination.Optional("action", spec->mutable_contamination()->mutable_action(),
                           yaml::OneOf{kContaminationActions});
  });
  for (const std::string& name : names) spec->mutable_contamination()->add_against(name);
}

bool Contains(const std::vector<std::string>& values, const std::string& value) {
  return std::ranges::find(values, value) != values.end();
}

std::string Listed(const std::vector<std::string>& values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == values.size() ? " or " : ", ") + values[i];
  }
  return text;
}

class Checker {
 public:
  explicit Checker(const Wrong& wrong) : wrong_(wrong) {}

  // empty: whether "" is the default.
  void Word(const std::string& path, const std::string& value,
            const std::vector<std::string>& values, bool empty) {
    if ((empty && value.empty()) || Contains(values, value)) return;
    wrong_(path, path + " must be " + Listed(values) + ", not '" + value + "'");
  }
  void AtMost(const std::string& path, int count, int limit) {
    if (count > limit) wrong_(path, path + " must list at most " + std::to_string(limit));
  }

 private:
  const Wrong& wrong_;
};

}  // namespace

void ReadCuration(yaml::Reader& reader, v1::CurationSpec* spec) {
  reader.Section("near_duplicates", [&](yaml::Reader& near) {
    near.Optional("action", spec->mutable_near_duplicates()->mutable_action(),
                  yaml::OneOf{kNearActions});
    double threshold = 0;
    if (near.Optional("threshold", &threshold, kThreshold)) {
      spec->mutable_near_duplicates()->set_threshold(threshold);
    }
  });
  reader.Section("length", [&](yaml::Reader& length) {
    uint64_t min = 0, max = 0;
    length.Optional("min", &min, kCharacters);
    length.Optional("max", &max, kCharacters);
    spec->mutable_length()->set_min(min);
    spec->mutable_length()->set_max(max);
  });
  reader.Section("patterns", [&](yaml::Reader& patterns) {
    for (const std::string& name : patterns.Keys()) {
      ReadPattern(patterns, name, spec->add_patterns());
    }
  });
  ReadLists(reader, spec);
}

void CheckCuration(const v1::CurationSpec& spec, const Wrong& wrong) {
  Checker check(wrong);
  const v1::NearDuplicatesSpec& near = spec.near_duplicates();
  check.Word("near_duplicates.action", near.action(), kNearActions, /*empty=*/true);
  const double threshold = near.threshold();
  if (threshold != 0 && !(threshold >= kThreshold.min && threshold <= kThreshold.max)) {
    wrong("near_duplicates.threshold",
          "near_duplicates.threshold must be from 0.5 to 1, not " + yaml::FormatNumber(threshold));
  }
  const v1::LengthSpec& length = spec.length();
  if (length.max() != 0 && length.min() > length.max()) {
    wrong("length.min", "length.min (" + std::to_string(length.min()) +
                            ") is more than length.max (" + std::to_string(length.max()) + ")");
  }
  const v1::LanguagesSpec& languages = spec.languages();
  check.Word("languages.unknown", languages.unknown(), kUnknown, /*empty=*/true);
  if (spec.has_languages() && languages.keep_size() == 0) {
    wrong("languages.keep", "languages.keep must name at least one language");
  }
  check.AtMost("languages.keep", languages.keep_size(), kLanguagesMax);
  check.AtMost("patterns", spec.patterns_size(), kPatternsMax);
  for (const v1::PatternSpec& pattern : spec.patterns()) {
    check.Word("patterns." + pattern.name(), pattern.action(), kPatternActions, /*empty=*/false);
  }
  const v1::ContaminationSpec& contamination = spec.contamination();
  check.Word("contamination.action", contamination.action(), kContaminationActions, true);
  if (spec.has_contamination() && contamination.against_size() == 0) {
    wrong("contamination.against", "contamination.against must name at least one data set");
  }
  check.AtMost("contamination.against", contamination.against_size(), kAgainstMax);
}

void FillDefaults(v1::CurationSpec* spec) {
  v1::NearDuplicatesSpec* near = spec->mutable_near_duplicates();
  if (near->action().empty()) near->set_action("together");
  if (near->threshold() == 0) near->set_threshold(0.8);
  if (spec->has_languages() && spec->languages().unknown().empty()) {
    spec->mutable_languages()->set_unknown("keep");
  }
  if (spec->has_contamination() && spec->contamination().action().empty()) {
    spec->mutable_contamination()->set_action("drop");
  }
}

std::span<const SpecKey> CurationKeys() {
  static const auto* table = new std::vector<SpecKey>{
      {"curation.near_duplicates.action", "string", "together",
       "together: near-duplicates are kept, on one side of the split. remove: only the first of "
       "them is kept. off: they are not looked for. What would be a near-duplicate in train of a "
       "validation example is left out of train, unless it is off."},
      {"curation.near_duplicates.threshold", "number", "0.8",
       "Jaccard similarity of runs of five words from which two texts are near-duplicates, 0.5 to "
       "1."},
      {"curation.length.min", "whole number", "0",
       "Examples of fewer characters that a model would read are dropped,"},
      {"curation.length.max", "whole number", "no limit", "and those of more."},
      {"curation.languages.keep", "list of strings", "all",
       "ISO 639-1 codes (en, de, zh): examples in other languages are dropped."},
      {"curation.languages.unknown", "string", "keep",
       "keep or drop: texts whose language cannot be told, as they are short or code."},
      {"curation.patterns.[]", "string", "none",
       "report, redact or drop, for a built-in pattern by its name, or for a group of them: "
       "secrets, personal. A pattern wins over its group."},
      {"curation.patterns.[].expression", "string", "of a built-in pattern: its own",
       "A regular expression (RE2) of your own, under a name of your own; where it has a group, "
       "the group is what is found."},
      {"curation.patterns.[].action", "string", "",
       "Of a pattern of your own: report counts the examples, redact puts [NAME] in the place of "
       "what was found, drop leaves them out."},
      {"curation.contamination.against", "list of data sets", "none",
       "NAME or NAME@VERSION of data sets that models are measured by: examples that overlap one "
       "of "
       "theirs in 13 words in a row are contaminated."},
      {"curation.contamination.action", "string", "drop", "drop, or report: only counted."},
  };
  return *table;
}

}  // namespace attune::spec
