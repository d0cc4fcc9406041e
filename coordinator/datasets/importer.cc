#include "coordinator/datasets/importer.h"

#include <algorithm>

#include "common/log/log.h"

namespace attune::datasets {
namespace {

constexpr int kReasonsInMessage = 3;

}  // namespace

Importer::Importer(const std::filesystem::path& folder, const ImportOptions& options)
    : options_(options),
      sources_({.folder = folder,
                .format = options.format,
                .row_bytes_max = kLineBytesMax,
                .cancelled = options.cancelled},
               [this](const SourceRow& row) { return AddRow(row); }),
      batch_(options.allow_unlabelled, &options_.mapping, options.threads),
      spool_(folder),
      writer_(folder, options.shard_bytes) {
  report_.set_validation_fraction(options.validation_fraction);
}

Status Importer::Begin(const v1::DatasetVersion& newest, BaseVersion::Use use) {
  Result<std::unique_ptr<BaseVersion>> base = BaseVersion::Open(newest, use, &examples_);
  if (base.ok()) {
    base_ = *std::move(base);
    return Status();
  }
  const bool damaged = base.status().code() == StatusCode::kDataLoss;
  if (use == BaseVersion::Use::kAppend || !damaged) return base.status();
  spdlog::warn("{}; the next version of {} is made without it", base.status().message(),
               newest.name());
  examples_ = ExampleTable();
  return Status();
}

Status Importer::Append(const std::string& file, std::string_view bytes) {
  return sources_.Append(file, bytes);
}

Status Importer::AddRow(const SourceRow& row) {
  batch_.Add(row);
  return batch_.full() ? ReadBatch() : Status();
}

Status Importer::ReadBatch() {
  return batch_.Take([this](ReadRow& read) { return TakeRow(read); });
}

Status Importer::TakeRow(ReadRow& read) {
  ++rows_;
  if (!read.row.ok()) {
    Reject(read, read.row.status().message());
    return Status();
  }
  if (options_.likely_answers == LikelyAnswers::kRejected && !read.row->likely_answer.empty()) {
    Reject(read, "has no answer: " + AnswerUnder(read.row->likely_answer));
    return Status();
  }
  ++usable_;
  sources_.NoteShape(read.file, read.row->shape);
  CountIgnoredKeys(*read.row);
  return AddExample(read);
}

Status Importer::AddExample(const ReadRow& read) {
  const LineFacts facts = FactsOf(*read.row, read.hash, writer_.metadata_keys());
  const ExampleTable::Place place = examples_.Insert(facts.id);
  auto answer = BaseVersion::Answer::kReplaced;
  if (place.added) {
    ATTUNE_RETURN_IF_ERROR(CheckExamples(examples_.size()));
    unlabelled_.push_back(facts.kind == RowKind::kPrompt);
  } else {
    const bool in_base = base_ != nullptr && place.number < base_->size();
    answer = in_base ? base_->Take(place.number, facts.hash) : BaseVersion::Answer::kDuplicate;
  }
  if (answer == BaseVersion::Answer::kStays) return Status();
  if (answer == BaseVersion::Answer::kReplaced) {
    return spool_.Append({place.number, facts, read.shard_line});
  }
  report_.set_duplicates(report_.duplicates() + 1);
  return Status();
}

void Importer::Reject(const ReadRow& read, const std::string& reason) {
  report_.set_rejected(report_.rejected() + 1);
  if (report_.rejected_rows_size() == kRejectedRowsReported) return;
  v1::RejectedRow* row = report_.add_rejected_rows();
  row->set_file(sources_.files()[read.file].name());
  row->set_line(read.line);
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

Status Importer::WriteShards() {
  const SplitDecision split({.examples = &examples_,
                             .base = base_.get(),
                             .unlabelled = &unlabelled_,
                             .validation_fraction = options_.validation_fraction,
                             .representative = nullptr});
  if (base_ != nullptr) {
    ATTUNE_RETURN_IF_ERROR(base_->WriteStaying(split.counts(), options_.shard_bytes, &writer_));
  }
  return spool_.Drain([&](const SpooledRow& row) {
    return writer_.Add(split.Of(row.number), row.facts, row.line);
  });
}

Result<Imported> Importer::Finish() {
  ATTUNE_RETURN_IF_ERROR(sources_.Finish());
  ATTUNE_RETURN_IF_ERROR(ReadBatch());
  for (const v1::SourceFile& file : sources_.files()) {
    report_.add_sources(file.name());
    *report_.add_source_files() = file;
  }
  if (usable_ == 0) return NothingUsable();
  ATTUNE_RETURN_IF_ERROR(WriteShards());
  ATTUNE_ASSIGN_OR_RETURN(Imported imported, writer_.Finish());
  imported.report.MergeFrom(report_);
  return imported;
}

}  // namespace attune::datasets
