#include "coordinator/curation/findings.h"

#include <nlohmann/json.hpp>

#include "common/base/utf8.h"

namespace attune::curation {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kNameBytesMax = 1024;

std::string TextAt(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string FormatFinding(const Finding& finding) {
  const Json line = {{"reason", finding.reason},
                     {"action", finding.action},
                     {"file", Shorten(finding.file, kNameBytesMax)},
                     {"line", finding.line},
                     {"id", finding.id},
                     {"evidence", Shorten(finding.evidence, kNameBytesMax)},
                     {"words", Shorten(finding.words, kFirstWordsBytesMax)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string UndecidedFindings::Format(const Finding& finding) {
  if (of_reason_[finding.reason]++ < kUndecidedKept) return FormatFinding(finding);
  return Json{{"reason", finding.reason}, {"action", finding.action}}.dump() + "\n";
}

bool FindingsWriter::Count(const Finding& finding) {
  const uint64_t before = (finding.action == "drop" ? dropped_ : kept_)[finding.reason]++;
  if (before >= kFindingsOfReasonKept || kept_whole_ == kFindingsKept) return false;
  if (finding.id.empty()) return false;
  ++kept_whole_;
  return true;
}

Status FindingsWriter::Write(const Finding& finding) {
  if (!file_) {
    ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Create(path_));
    file_.emplace(std::move(file));
    hash_.emplace();
  }
  const std::string line = FormatFinding(finding);
  hash_->Update(line);
  return file_->Append(line);
}

Result<std::string> FindingsWriter::Finish() {
  if (!file_) return std::string();
  ATTUNE_RETURN_IF_ERROR(file_->Commit());
  return hash_->Hex();
}

Status ReadFindings(const std::filesystem::path& folder, const std::string& sha256,
                    const std::function<bool(const Finding&)>& take) {
  const std::filesystem::path path = folder / kFindingsFile;
  const auto damaged = [&](const std::string& what) {
    return DataLoss(path.string() + ": " + what + "; what is left out is not known any more");
  };
  Result<std::string> content = ReadFile(path);
  if (!content.ok() && content.status().code() == StatusCode::kNotFound)
    return damaged("is missing");
  if (!content.ok()) return content.status();
  if (Sha256Hex(*content) != sha256) return damaged("the checksum does not match the content");
  std::string_view rest = *content;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    Result<Finding> finding = ParseFinding(rest.substr(0, end));
    if (!finding.ok()) return damaged(finding.status().message());
    if (!take(*finding)) return Status();
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return Status();
}

Result<Finding> ParseFinding(std::string_view text) {
  const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) return DataLoss("a line is not an object");
  Finding finding{TextAt(line, "reason"), TextAt(line, "action"),   TextAt(line, "file"), 0,
                  TextAt(line, "id"),     TextAt(line, "evidence"), TextAt(line, "words")};
  if (finding.reason.empty() || finding.action.empty()) {
    return DataLoss("a line has no reason or no action");
  }
  const auto number = line.find("line");
  if (number != line.end() && number->is_number_unsigned()) finding.line = number->get<uint64_t>();
  return finding;
}

}  // namespace attune::curation
