#include "coordinator/datasets/curator.h"

#include <algorithm>
#include <map>

#include "common/base/utf8.h"
#include "coordinator/curation/language.h"
#include "coordinator/curation/reading_text.h"
#include "coordinator/curation/row_scan.h"
#include "coordinator/datasets/row_json.h"

namespace attune::datasets {
namespace {

using curation::Action;
using curation::Finding;
using curation::PatternRule;

// Of a text before its first words are redacted, so that a secret which begins within them is seen
// whole. No pattern is too costly for so few.
constexpr size_t kWordsContextBytes = 8000;
static_assert((kWordsContextBytes + 1) / 2 <= curation::kLooksAByte);

Action ActionOf(const std::string& word) {
  return word == "drop" ? Action::kDrop : word == "redact" ? Action::kRedact : Action::kReport;
}

const char* NameOf(Action action) {
  return action == Action::kDrop ? "drop" : action == Action::kRedact ? "redact" : "report";
}

// Built-in patterns one by one in place of their groups; what is named itself wins.
std::vector<PatternRule> RulesOf(const v1::CurationSpec& spec) {
  std::vector<PatternRule> rules;
  std::map<std::string, std::string> groups;
  for (const v1::PatternSpec& pattern : spec.patterns()) {
    const bool group = pattern.expression().empty() &&
                       (pattern.name() == "secrets" || pattern.name() == "personal");
    if (group) {
      groups[pattern.name()] = pattern.action();
    } else {
      rules.push_back({pattern.name(), pattern.expression(), ActionOf(pattern.action())});
    }
  }
  for (const curation::BuiltinPattern& builtin : curation::BuiltinPatterns()) {
    const auto group = groups.find(std::string(builtin.group));
    const bool named = std::ranges::find(rules, builtin.name, &PatternRule::name) != rules.end();
    if (group == groups.end() || named) continue;
    rules.push_back({std::string(builtin.name), "", ActionOf(group->second)});
  }
  return rules;
}

Status CheckLanguages(const v1::CurationSpec& spec) {
  const std::vector<std::string>& known = curation::KnownLanguages();
  for (const std::string& code : spec.languages().keep()) {
    if (std::ranges::binary_search(known, code)) continue;
    std::string all;
    for (const std::string& other : known) all += (all.empty() ? "" : ", ") + other;
    return InvalidArgument("languages.keep: '" + code +
                           "' is none of the languages that can be told: " + all)
        .WithField("spec.curation.languages.keep");
  }
  return Status();
}

}  // namespace

void EvaluationExamples::Begin(std::string reference) {
  sets_.push_back({std::move(reference), static_cast<uint32_t>(ids_.size())});
}

Status EvaluationExamples::AddRow(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string_view id, IdOfShardLine(line));
  const RowJson json = RowJson::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return DataLoss("example " + std::string(id) + " is not a JSON object");
  ids_.push_back(ParseExampleId(id));
  return runs_.Add(curation::ReadingText(json));
}

std::string EvaluationExamples::NameOf(uint32_t example) const {
  const auto after = std::ranges::upper_bound(sets_, example, {}, &Set::first);
  return std::prev(after)->reference + " " + FormatExampleId(ids_[example]);
}

Result<std::unique_ptr<Curator>> Curator::Make(const v1::CurationSpec& spec,
                                               EvaluationExamples examples) {
  ATTUNE_RETURN_IF_ERROR(CheckLanguages(spec));
  std::unique_ptr<Curator> curator(new Curator(spec, std::move(examples)));
  const std::vector<PatternRule> rules = RulesOf(spec);
  if (rules.empty()) return curator;
  Result<curation::PatternSet> patterns = curation::PatternSet::Make(rules);
  if (!patterns.ok()) {
    return InvalidArgument(patterns.status().message()).WithField("spec.curation.patterns");
  }
  curator->patterns_.emplace(*std::move(patterns));
  return curator;
}

Curator::Verdict Curator::Curate(Row* row, bool allow_unlabelled) const {
  Verdict verdict;
  verdict.dropped = CheckLimits(*row, &verdict) || CheckContamination(*row, &verdict) ||
                    CheckPatterns(row, allow_unlabelled, &verdict);
  if (verdict.findings.empty()) return verdict;
  if (verdict.dropped) verdict.findings.erase(verdict.findings.begin(), verdict.findings.end() - 1);
  const std::string words = FirstWords(row->reading_text);
  for (Finding& finding : verdict.findings) finding.words = words;
  return verdict;
}

bool Curator::CheckLimits(const Row& row, Verdict* verdict) const {
  const auto drop = [&](const char* reason, std::string evidence) {
    verdict->findings.push_back({reason, "drop", "", 0, row.id, std::move(evidence), ""});
    return true;
  };
  const std::string characters = std::to_string(row.characters) + " characters";
  if (row.characters < spec_.length().min()) return drop("too_short", characters);
  const uint64_t max = spec_.length().max();
  if (max != 0 && row.characters > max) return drop("too_long", characters);
  if (spec_.languages().keep().empty()) return false;
  const std::string language = curation::LanguageOf(row.reading_text);
  if (language.empty()) {
    return spec_.languages().unknown() == "drop" && drop("language", "unknown");
  }
  const auto& keep = spec_.languages().keep();
  return std::find(keep.begin(), keep.end(), language) == keep.end() && drop("language", language);
}

bool Curator::CheckContamination(const Row& row, Verdict* verdict) const {
  const std::optional<uint32_t> example = examples_.runs().Find(row.reading_text);
  if (!example) return false;
  const std::string& action = spec_.contamination().action();
  verdict->findings.push_back(
      {"contamination", action, "", 0, row.id, examples_.NameOf(*example), ""});
  return action == "drop";
}

bool Curator::CheckPatterns(Row* row, bool allow_unlabelled, Verdict* verdict) const {
  if (!patterns_) return false;
  RowJson content = RowJson::parse(row->content);
  curation::RowScan scan = curation::ScanContent(*patterns_, &content);
  Metadata metadata = row->metadata;
  curation::ScanMetadata(*patterns_, &metadata, &scan);
  const std::string id = row->id;
  for (size_t pattern : scan.found) {
    const PatternRule& rule = patterns_->rules()[pattern];
    verdict->findings.push_back({"pattern:" + rule.name, NameOf(rule.action), "", 0, id, "", ""});
    if (rule.action == Action::kDrop) return true;
  }
  for (size_t pattern : scan.too_costly) {
    const PatternRule& rule = patterns_->rules()[pattern];
    // What may still be in it must not be trained on.
    const bool drop = rule.action != Action::kReport;
    verdict->findings.push_back(
        {"pattern_too_costly:" + rule.name, drop ? "drop" : "report", "", 0, id, "", ""});
    if (drop) return true;
  }
  if (!scan.redacted) return false;
  Result<Row> redacted = ParseRow(DumpRowJson(content), allow_unlabelled);
  if (!redacted.ok()) {  // what is left is no example, as an expression took a part of its form
    Finding taken = *std::ranges::find(verdict->findings, "redact", &Finding::action);
    taken.action = "drop";
    taken.evidence = redacted.status().message();
    verdict->findings.push_back(std::move(taken));
    return true;
  }
  redacted->metadata = std::move(metadata);
  redacted->shape = row->shape;
  redacted->ignored_keys = std::move(row->ignored_keys);
  redacted->likely_answer = std::move(row->likely_answer);
  *row = *std::move(redacted);
  return false;
}

std::string Curator::FirstWords(std::string_view text) const {
  std::string start = Shorten(text, kWordsContextBytes);
  if (patterns_) {
    static constexpr Action kAll[] = {Action::kReport, Action::kRedact, Action::kDrop};
    start = patterns_->Redact(start, patterns_->Find(start).matches, kAll);
  }
  std::ranges::replace_if(
      start, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return Shorten(start, curation::kFirstWordsBytesMax);
}

}  // namespace attune::datasets
