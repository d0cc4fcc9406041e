#include "coordinator/models/gate_reports.h"

#include <fstream>

#include "common/base/hash.h"

namespace attune::models {

namespace fs = std::filesystem;
using soci::into;
using soci::use;
namespace {

constexpr size_t kChunkBytes = 1 << 20;

// Whether path, links resolved, is below folder.
bool IsBelow(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error), top = fs::canonical(folder, error);
  if (error) return false;
  const fs::path relative = whole.lexically_relative(top);
  return !relative.empty() && relative != "." && *relative.begin() != "..";
}

}  // namespace

void SaveGateReport(Transaction& transaction, const v1::GateReport& report) {
  ATTUNE_CHECK(!report.candidate().empty());
  const std::string text = EncodeBytes(report.SerializeAsString());
  const int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "INSERT INTO gate_reports (candidate, report, saved_us) VALUES "
                           "(:candidate, :report, :now) ON CONFLICT (candidate) DO UPDATE SET "
                           "report = excluded.report, saved_us = excluded.saved_us",
      use(report.candidate()), use(text), use(now_us);
}

Result<v1::GateReport> FindGateReport(Transaction& transaction, const std::string& candidate) {
  std::string text;
  transaction.session() << "SELECT report FROM gate_reports WHERE candidate = :candidate",
      use(candidate), into(text);
  if (!transaction.session().got_data()) {
    return NotFound("no gates have decided on " + candidate +
                    ": they do when a schedule's update has trained and measured it");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string bytes, DecodeBytes(text));
  v1::GateReport report;
  if (!report.ParseFromString(bytes)) {
    return DataLoss("the gate report of " + candidate + " cannot be read");
  }
  return report;
}

Status ReadGateFacts(const fs::path& storage, const v1::GateReport& report,
                     const std::function<Status(std::string_view)>& take) {
  if (report.facts_path().empty()) {
    return NotFound("the gate report of " + report.candidate() + " names no facts");
  }
  const fs::path path = storage / report.facts_path();  // an absolute one stays what it is
  std::error_code error;
  if (!fs::exists(path, error)) {
    return NotFound("the facts of " + report.candidate() + ", " + path.string() +
                    ", are not there any more");
  }
  if (!IsBelow(path, storage / "gates")) {
    return FailedPrecondition("the facts of " + report.candidate() + ", " + path.string() +
                              ", are not below " + (storage / "gates").string());
  }
  std::ifstream file(path, std::ios::binary);
  std::string chunk(kChunkBytes, '\0');
  Sha256 sha;
  while (file.read(chunk.data(), kChunkBytes), file.gcount() > 0) {
    const std::string_view bytes(chunk.data(), static_cast<size_t>(file.gcount()));
    sha.Update(bytes);
    ATTUNE_RETURN_IF_ERROR(take(bytes));
  }
  if (!file.eof()) return DataLoss("cannot read " + path.string());
  if (sha.Hex() == report.facts_checksum()) return Status();
  return DataLoss(path.string() + " is not what the gates of " + report.candidate() +
                  " decided by: its checksum is another");
}

}  // namespace attune::models
