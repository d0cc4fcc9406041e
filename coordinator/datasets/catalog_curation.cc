// By what an import is curated, and what that found.

#include <charconv>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/spec/curation_spec.h"
#include "coordinator/curation/findings.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/catalog_commit.h"

namespace attune::datasets {
namespace {

constexpr uint32_t kPageDefault = 500, kPageMax = 2'000;
// Of a page's findings, so that it fits in a message.
constexpr size_t kPageBytesMax = 1 << 20;

// The SHA-256 of the version's findings, empty when it has none.
Result<std::string> FindingsOf(const v1::DatasetVersion& version) {
  const std::filesystem::path file = std::filesystem::path(version.path()) / "manifest.json";
  ATTUNE_ASSIGN_OR_RETURN(const std::string content, ReadFile(file));
  const auto manifest = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object()) return DataLoss(file.string() + ": not a manifest");
  const auto findings = manifest.find("findings");
  if (findings == manifest.end() || !findings->is_object()) return std::string();
  return findings->value("sha256", std::string());
}

v1::Finding ToProto(const curation::Finding& finding) {
  v1::Finding proto;
  proto.set_reason(finding.reason);
  proto.set_action(finding.action);
  proto.set_file(finding.file);
  proto.set_line(finding.line);
  proto.set_id(finding.id);
  proto.set_evidence(finding.evidence);
  proto.set_words(finding.words);
  return proto;
}

// The findings before the page, out of its token.
Result<uint64_t> ParseToken(const std::string& token) {
  uint64_t skipped = 0;
  if (token.empty()) return skipped;
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), skipped);
  if (error == std::errc() && end == token.data() + token.size()) return skipped;
  return InvalidArgument("page_token is none that was given out").WithField("page_token");
}

}  // namespace

Result<v1::CurationSpec> Catalog::CurationOf(const v1::ImportDatasetRequest::Header& header) {
  v1::CurationSpec spec = header.spec().curation();
  Status wrong;
  spec::CheckCuration(spec, [&](const std::string& path, const std::string& message) {
    if (wrong.ok()) wrong = InvalidArgument(message).WithField("spec.curation." + path);
  });
  if (!wrong.ok()) return wrong;
  spec::FillDefaults(&spec);
  for (std::string& reference : *spec.mutable_contamination()->mutable_against()) {
    Result<v1::DatasetVersion> version = Get(reference);
    if (!version.ok())
      return Status(version.status()).WithField("spec.curation.contamination.against");
    reference = ReferenceOf(*version);
  }
  if (!header.spec().curation().has_contamination()) spec.clear_contamination();
  return spec;
}

Result<std::shared_ptr<const Curator>> Catalog::CuratorFor(const v1::CurationSpec& spec) {
  const bool rows = spec.has_length() || spec.has_languages() || spec.patterns_size() > 0 ||
                    spec.has_contamination();
  if (!rows) return std::shared_ptr<const Curator>();
  EvaluationExamples examples;
  for (const std::string& reference : spec.contamination().against()) {
    examples.Begin(reference);
    Status read =
        ForEachRow(reference, [&](std::string_view line) { return examples.AddRow(line); });
    if (!read.ok()) return read.WithContext("dataset " + reference);
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Curator> curator,
                          Curator::Make(spec, std::move(examples)));
  return std::shared_ptr<const Curator>(std::move(curator));
}

Result<v1::ListFindingsResponse> Catalog::ListFindings(const v1::ListFindingsRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t skipped, ParseToken(request.page_token()));
  const uint32_t page = request.page_size() == 0 ? kPageDefault : request.page_size();
  if (page > kPageMax) {
    return InvalidArgument("page_size must be at most " + std::to_string(kPageMax))
        .WithField("page_size");
  }
  ATTUNE_ASSIGN_OR_RETURN(const Held held, Hold(request.dataset()));
  v1::ListFindingsResponse response;
  response.set_dataset(ReferenceOf(held.version));
  ATTUNE_ASSIGN_OR_RETURN(const std::string sha256, FindingsOf(held.version));
  if (sha256.empty()) return response;
  uint64_t seen = 0;
  size_t bytes = 0;
  ATTUNE_RETURN_IF_ERROR(
      curation::ReadFindings(held.version.path(), sha256, [&](const curation::Finding& finding) {
        if (!request.kept() && finding.action != "drop") return true;
        if (!request.reason().empty() && finding.reason != request.reason()) return true;
        if (seen++ < skipped) return true;
        const bool full = static_cast<uint32_t>(response.findings_size()) == page;
        if (full || bytes > kPageBytesMax) {
          response.set_next_page_token(std::to_string(seen - 1));
          return false;
        }
        *response.add_findings() = ToProto(finding);
        bytes += response.findings(response.findings_size() - 1).ByteSizeLong();
        return true;
      }));
  return response;
}

}  // namespace attune::datasets
