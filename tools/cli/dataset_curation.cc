#include "tools/cli/dataset_curation.h"

#include <map>

#include "common/base/text.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

using Counts = google::protobuf::Map<std::string, uint64_t>;

void AddPart(const std::string& part, const char* separator, std::string* text) {
  *text += (text->empty() ? "" : separator) + part;
}

template <typename Names>
std::string Joined(const Names& names) {
  std::string text;
  for (const std::string& name : names) AddPart(name, ", ", &text);
  return text;
}

std::string NearDuplicates(const v1::NearDuplicatesSpec& near) {
  if (near.action() == "off") return "near-duplicates are not looked for";
  const bool usual = near.action() == "together" && near.threshold() == 0.8;
  if (near.action().empty() || usual) return "";
  return "near-duplicates from " + FormatNumber(near.threshold()) +
         (near.action() == "remove" ? " removed" : " together");
}

std::string Lengths(const v1::LengthSpec& length) {
  if (length.max() == 0) return "at least " + CountOf(length.min(), "character");
  return std::to_string(length.min()) + " to " + CountOf(length.max(), "character");
}

}  // namespace

std::string LeftOut(const v1::DatasetVersion& dataset) {
  const std::map<std::string, uint64_t> sorted(dataset.dropped().begin(), dataset.dropped().end());
  std::string text;
  for (const auto& [reason, examples] : sorted) {
    AddPart(std::to_string(examples) + " " + reason, ", ", &text);
  }
  if (text.empty()) return "";
  return text + "\nattune dataset dropped " + dataset.name() + "@" +
         std::to_string(dataset.version()) + " lists them";
}

std::string FoundIn(const v1::DatasetVersion& dataset) {
  const std::map<std::string, uint64_t> sorted(dataset.found().begin(), dataset.found().end());
  std::string text;
  for (const auto& [reason, examples] : sorted) {
    if (reason == "template") {
      AddPart(CountOf(examples, "example") + " of a template, each split by itself", "\n", &text);
    } else if (reason == "near_duplicate") {
      AddPart(CountOf(examples, "example") + " that one before is like, on its side of the split",
              "\n", &text);
    } else {
      AddPart(reason + " in " + CountOf(examples, "example"), "\n", &text);
    }
  }
  return text;
}

std::string CuratedBy(const v1::DatasetVersion& dataset) {
  const v1::CurationSpec& spec = dataset.curation();
  std::string text = NearDuplicates(spec.near_duplicates());
  if (spec.has_length()) AddPart(Lengths(spec.length()), "; ", &text);
  if (spec.has_languages()) {
    AddPart("languages " + Joined(spec.languages().keep()) +
                (spec.languages().unknown() == "drop" ? ", unknown ones dropped" : ""),
            "; ", &text);
  }
  for (const v1::PatternSpec& pattern : spec.patterns()) {
    AddPart(pattern.name() + ": " + pattern.action(), "; ", &text);
  }
  if (spec.has_contamination()) {
    AddPart("overlaps with " + Joined(spec.contamination().against()) + ": " +
                spec.contamination().action(),
            "; ", &text);
  }
  return text;
}

}  // namespace attune::cli
