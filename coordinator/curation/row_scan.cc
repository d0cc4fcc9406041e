#include "coordinator/curation/row_scan.h"

#include <algorithm>

namespace attune::curation {
namespace {

class Scanner {
 public:
  Scanner(const PatternSet& patterns, RowScan* scan) : patterns_(patterns), scan_(scan) {}

  void ScanText(std::string* text) {
    const auto [matches, too_costly, searched] = patterns_.Find(*text, &looks_);
    for (size_t pattern : too_costly) Note(pattern, &scan_->too_costly);
    bool redact = false;
    for (const PatternMatch& match : matches) {
      Note(match.pattern, &scan_->found);
      redact |= patterns_.rules()[match.pattern].action == Action::kRedact;
    }
    if (!redact) return;
    static constexpr Action kActions[] = {Action::kRedact};
    *text = patterns_.Redact(*text, matches, kActions);
    scan_->redacted = true;
  }

  void Scan(nlohmann::ordered_json* value) {
    if (auto* text = value->get_ptr<std::string*>()) {
      ScanText(text);
    } else if (value->is_array()) {
      for (auto& item : *value) Scan(&item);
    } else if (value->is_object()) {
      for (auto& [key, member] : value->items()) {
        if (key == "role" || key == "type") continue;
        Scan(&member);
      }
    }
  }

 private:
  static void Note(size_t pattern, std::vector<size_t>* patterns) {
    const auto place = std::ranges::lower_bound(*patterns, pattern);
    if (place == patterns->end() || *place != pattern) patterns->insert(place, pattern);
  }

  const PatternSet& patterns_;
  PatternSet::Looks looks_;
  RowScan* const scan_;
};

}  // namespace

RowScan ScanContent(const PatternSet& patterns, nlohmann::ordered_json* content) {
  RowScan scan;
  Scanner(patterns, &scan).Scan(content);
  return scan;
}

void ScanMetadata(const PatternSet& patterns, std::map<std::string, std::string>* metadata,
                  RowScan* scan) {
  Scanner scanner(patterns, scan);
  for (auto& [key, value] : *metadata) scanner.ScanText(&value);
}

}  // namespace attune::curation
