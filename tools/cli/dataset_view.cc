#include "tools/cli/dataset_view.h"

#include <algorithm>
#include <map>

#include "common/base/text.h"
#include "tools/cli/dataset_curation.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

// "id (300 rows), source (1 row)", by name.
std::string Counts(const google::protobuf::Map<std::string, uint64_t>& counts,
                   const std::string& what) {
  const std::map<std::string, uint64_t> sorted(counts.begin(), counts.end());
  std::string text;
  for (const auto& [key, count] : sorted) {
    text += (text.empty() ? "" : ", ") + key + " (" + std::to_string(count) + " " + what +
            (count == 1 ? ")" : "s)");
  }
  return text;
}

std::string Listed(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

constexpr int kFilesShown = 20;

// "docs.tsv.gz: csv (tab), gzip, 300 rows of prompt_completion, 1.2 MiB, sha256 0123456789ab...".
std::string FileLine(const v1::SourceFile& file) {
  std::string line = file.name() + ": " + file.format();
  if (!file.delimiter().empty() && file.delimiter() != "comma") {
    line += " (" + file.delimiter() + ")";
  }
  if (!file.compression().empty()) line += ", " + file.compression();
  line += ", " + CountOf(file.rows(), "row");
  if (!file.shape().empty()) line += " of " + file.shape();
  return line + ", " + FormatBytes(static_cast<double>(file.bytes())) + ", sha256 " +
         file.sha256().substr(0, 12) + "...";
}

// Versions from before files were described have their names.
std::string From(const v1::DatasetVersion& dataset) {
  if (dataset.source_files_size() == 0) return Listed(dataset.sources());
  std::string text;
  for (int i = 0; i < std::min(dataset.source_files_size(), kFilesShown); ++i) {
    text += (i == 0 ? "" : "\n") + FileLine(dataset.source_files(i));
  }
  const int more = dataset.source_files_size() - kFilesShown;
  if (more > 0) text += "\n... and " + std::to_string(more) + " more (-o json has all)";
  return text;
}

}  // namespace

std::string DatasetReference(const v1::DatasetVersion& dataset) {
  return dataset.name() + "@" + std::to_string(dataset.version());
}

uint64_t ExamplesOf(const v1::DatasetVersion& dataset, const char* split) {
  auto it = dataset.examples().find(split);
  return it == dataset.examples().end() ? 0 : it->second;
}

uint64_t StoredBytes(const v1::DatasetVersion& dataset) {
  return dataset.has_stored_bytes() ? dataset.stored_bytes() : dataset.bytes();
}

std::string DatasetCard(const v1::DatasetVersion& dataset, const ViewOptions& options) {
  Card card(options);
  card.Title(DatasetReference(dataset));
  std::string splits = std::to_string(ExamplesOf(dataset, "train")) + " train, " +
                       std::to_string(ExamplesOf(dataset, "validation")) + " validation";
  if (dataset.unlabelled() > 0) {
    splits += ", " + std::to_string(dataset.unlabelled()) + " unlabelled";
  }
  card.Row("Examples", splits + "  (" + dataset.shape() + ")");
  card.Row("Length", "median " + FormatCount(static_cast<double>(dataset.characters_median())) +
                         ", longest " + FormatCount(static_cast<double>(dataset.characters_max())) +
                         " characters");
  std::string size = FormatBytes(static_cast<double>(dataset.bytes()));
  if (StoredBytes(dataset) < dataset.bytes()) {
    size += ", of which " + FormatBytes(static_cast<double>(StoredBytes(dataset))) +
            " were written for it";
  }
  if (dataset.shared_bytes() > 0) {
    size += "\n" + FormatBytes(static_cast<double>(dataset.shared_bytes())) +
            " shared with other versions, " +
            FormatBytes(static_cast<double>(dataset.own_bytes())) + " its own";
  }
  card.Row("Size", size);
  if (dataset.duplicates() > 0)
    card.Row("Duplicates", std::to_string(dataset.duplicates()) + ", each kept once");
  if (dataset.rejected() > 0) {
    std::string rejected =
        std::to_string(dataset.rejected()) + (dataset.rejected() == 1 ? " row" : " rows");
    for (const auto& row : dataset.rejected_rows()) {
      rejected += "\n" + row.file() + ":" + std::to_string(row.line()) + ": " + row.reason();
    }
    if (dataset.rejected() > static_cast<uint64_t>(dataset.rejected_rows_size()))
      rejected += "\n...";
    card.Row("Rejected", rejected, Style::kYellow);
  }
  card.Row("Left out", LeftOut(dataset), Style::kYellow);
  card.Row("Found", FoundIn(dataset));
  card.Row("Curated by", CuratedBy(dataset));
  card.Row("Ignored", Counts(dataset.ignored_keys(), "row"));
  card.Row("Metadata", Counts(dataset.metadata_keys(), "example"));
  card.Row("Appended to", dataset.appended_to());
  card.Row("Composed of", Listed(dataset.composed_of()));
  card.Row("From", From(dataset));
  card.Row("Checksum", dataset.checksum());
  card.Row("Created", FormatLocalTime(dataset.created()));
  card.Row("Folder", dataset.path());
  return card.Render();
}

}  // namespace attune::cli
