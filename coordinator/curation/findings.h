#pragma once

// What curation did to the examples of an import, one by one: the file findings.jsonl in a
// version's folder, an object a line with the keys of Finding. All are counted; the first 2,000 of
// each reason are kept whole, 20,000 in all, so that the file stays small however many there are.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/status.h"

namespace attune::curation {

inline constexpr const char* kFindingsFile = "findings.jsonl";
inline constexpr uint64_t kFindingsOfReasonKept = 2'000, kFindingsKept = 20'000;
inline constexpr size_t kFirstWordsBytesMax = 100;
// Of each reason, while it is not known which of the examples a version has.
inline constexpr uint64_t kUndecidedKept = 4 * kFindingsOfReasonKept;

struct Finding {
  // near_duplicate, near_validation, too_short, too_long, language, contamination, pattern:NAME
  // or pattern_too_costly:NAME.
  std::string reason;
  std::string action;    // "drop", "redact" or "report"
  std::string file;      // where the row stood; empty: in the version that was appended to
  uint64_t line = 0;     // from 1
  std::string id;        // of the example, as it was read; empty: it is only counted
  std::string evidence;  // another example ("id 3f..."), a language, a length; never the secret
  std::string words;     // the first of the row's reading text, secrets and personal data redacted
};

class FindingsWriter {
 public:
  // The file appears in the folder when there is a finding.
  explicit FindingsWriter(const std::filesystem::path& folder) : path_(folder / kFindingsFile) {}

  Status Add(const Finding& finding) { return Count(finding) ? Write(finding) : Status(); }
  // The two halves of Add, for whoever fills in a finding only if it is one of those that are kept.
  // False: it is not.
  bool Count(const Finding& finding);
  Status Write(const Finding& finding);
  // Rows by reason, those that were dropped and the others.
  const std::map<std::string, uint64_t>& dropped() const { return dropped_; }
  const std::map<std::string, uint64_t>& kept() const { return kept_; }

  // The SHA-256 of the file; empty when there is none. No Add after it.
  Result<std::string> Finish();

 private:
  const std::filesystem::path path_;
  std::map<std::string, uint64_t> dropped_, kept_;
  uint64_t kept_whole_ = 0;
  std::optional<AtomicFileWriter> file_;
  std::optional<Sha256> hash_;
};

// Hands over the findings in order until take returns false. kDataLoss, naming the file, when it is
// missing or not what the checksum says; nothing was handed over then.
Status ReadFindings(const std::filesystem::path& folder, const std::string& sha256,
                    const std::function<bool(const Finding&)>& take);

// The lines of findings that count if their examples stay, which is known later. Of each reason
// the first are whole and the others are only counted, so that what is set aside stays small. Where
// three of four of the first do not stay, fewer than could be are listed.
class UndecidedFindings {
 public:
  std::string Format(const Finding& finding);

 private:
  std::map<std::string, uint64_t> of_reason_;
};

// The line of a finding, with its end.
std::string FormatFinding(const Finding& finding);
// Of such a line without its end. kDataLoss when it is none.
Result<Finding> ParseFinding(std::string_view line);

}  // namespace attune::curation
