#include "coordinator/datasets/importer.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kFileNameBytesMax = 1024;
constexpr int kReasonsInMessage = 3;

}  // namespace

Importer::Importer(const std::filesystem::path& folder, const ImportOptions& options)
    : options_(options),
      lines_(kLineBytesMax, [this](const Line& line) { return AddLine(line); }),
      writer_(folder, options.shard_bytes) {
  report_.set_validation_fraction(options.validation_fraction);
}

Status Importer::Begin(const v1::DatasetVersion& version) {
  return writer_.CopyFrom(version).status();
}

Status Importer::Append(const std::string& file, std::string_view bytes) {
  if (report_.sources_size() == 0 || file != file_) {
    ATTUNE_RETURN_IF_ERROR(lines_.EndFile());
    if (report_.sources_size() == kSourcesMax) {
      return InvalidArgument("more than " + std::to_string(kSourcesMax) + " files in one import");
    }
    file_ = file;
    report_.add_sources(Shorten(file, kFileNameBytesMax));
  }
  return lines_.Append(bytes);
}

Status Importer::AddLine(const Line& line) {
  if (line.too_long) {
    ++rows_;
    Reject(line.number, "longer than " + std::to_string(kLineBytesMax >> 20) + " MiB");
    return Status();
  }
  if (IsBlank(line.text)) return Status();
  ++rows_;
  Result<Row> row = ParseRow(line.text, options_.allow_unlabelled);
  if (!row.ok()) {
    Reject(line.number, row.status().message());
    return Status();
  }
  if (options_.likely_answers == LikelyAnswers::kRejected && !row->likely_answer.empty()) {
    Reject(line.number, "has no answer: " + AnswerUnder(row->likely_answer));
    return Status();
  }
  ++usable_;
  CountIgnoredKeys(*row);
  ATTUNE_ASSIGN_OR_RETURN(const bool claimed, writer_.Claim(row->id));
  if (claimed) return AddExample(*row);
  report_.set_duplicates(report_.duplicates() + 1);
  return Status();
}

Status Importer::AddExample(const Row& row) {
  if (row.kind == RowKind::kPrompt) return Add("unlabelled", row);
  if (SplitOf(row.id, options_.validation_fraction) == "train") return AddTrainExample(row);
  ATTUNE_RETURN_IF_ERROR(Add("validation", row));
  return PlaceWithheld();
}

Status Importer::AddTrainExample(const Row& row) {
  if (options_.validation_fraction <= 0 || writer_.examples("validation") > 0) {
    return Add("train", row);
  }
  if (!withheld_) {
    withheld_ = row;
    return Status();
  }
  if (row.id > withheld_->id) return Add("train", row);
  ATTUNE_RETURN_IF_ERROR(Add("train", *withheld_));
  withheld_ = row;
  return Status();
}

Status Importer::Add(std::string_view split, const Row& row) {
  return writer_.Add(split, row, ShardLine(row));
}

// To train, as validation has an example of its own, or is not wanted at the price of an empty
// train.
Status Importer::PlaceWithheld() {
  if (!withheld_) return Status();
  Row row = *std::move(withheld_);
  withheld_.reset();
  return Add("train", row);
}

void Importer::Reject(uint64_t line, const std::string& reason) {
  report_.set_rejected(report_.rejected() + 1);
  if (report_.rejected_rows_size() == kRejectedRowsReported) return;
  v1::RejectedRow* row = report_.add_rejected_rows();
  row->set_file(Shorten(file_, kFileNameBytesMax));
  row->set_line(line);
  row->set_reason(reason);
}

void Importer::CountIgnoredKeys(const Row& row) {
  auto& counts = *report_.mutable_ignored_keys();
  for (const std::string& key : row.ignored_keys) {
    if (counts.size() < kIgnoredKeysReported || counts.contains(key)) ++counts[key];
  }
}

Status Importer::NothingUsable() const {
  if (rows_ == 0) return InvalidArgument("the files have no rows");
  std::string message = "none of the " + std::to_string(rows_) + " rows can be used";
  for (int i = 0; i < std::min(report_.rejected_rows_size(), kReasonsInMessage); ++i) {
    const v1::RejectedRow& row = report_.rejected_rows(i);
    message += (i == 0 ? ": " : "; ") + row.file() + ":" + std::to_string(row.line()) + ": " +
               row.reason();
  }
  return InvalidArgument(message);
}

Result<Imported> Importer::Finish() {
  ATTUNE_RETURN_IF_ERROR(lines_.EndFile());
  if (usable_ == 0) return NothingUsable();
  if (withheld_ && writer_.examples("train") > 0) {
    ATTUNE_RETURN_IF_ERROR(Add("validation", *withheld_));
    withheld_.reset();
  }
  ATTUNE_RETURN_IF_ERROR(PlaceWithheld());
  ATTUNE_ASSIGN_OR_RETURN(Imported imported, writer_.Finish());
  imported.report.MergeFrom(report_);
  return imported;
}

}  // namespace attune::datasets
