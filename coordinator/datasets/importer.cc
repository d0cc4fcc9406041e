#include "coordinator/datasets/importer.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/log/log.h"
#include "common/spec/curation_spec.h"

namespace attune::datasets {
namespace {

constexpr int kReasonsInMessage = 3;

ImportOptions Filled(ImportOptions options) {
  spec::FillDefaults(&options.curation);
  return options;
}

bool SeeksNearDuplicates(const ImportOptions& options) {
  return options.curation.near_duplicates().action() != "off";
}

}  // namespace

Importer::Importer(const std::filesystem::path& folder, const ImportOptions& options)
    : options_(Filled(options)),
      cancelled_(options.cancelled),
      sources_({.folder = folder,
                .format = options.format,
                .delimiter = options.delimiter,
                .row_bytes_max = kLineBytesMax,
                .cancelled = options.cancelled},
               [this](const SourceRow& row) { return AddRow(row); }),
      batch_({.allow_unlabelled = options.allow_unlabelled,
              .mapping = &options_.mapping,
              .threads = options.threads,
              .curator = options.curator,
              .signatures = SeeksNearDuplicates(options),
              .cancelled = options.cancelled}),
      spool_(folder),
      writer_(folder, options.shard_bytes, options.cancelled),
      folder_(folder),
      findings_(folder),
      losses_(&examples_, options_.curator.get(), &findings_) {
  report_.set_validation_fraction(options.validation_fraction);
  *report_.mutable_curation() = options_.curation;
}

Status Importer::Begin(const v1::DatasetVersion& newest, BaseVersion::Use use) {
  Result<std::unique_ptr<BaseVersion>> base = BaseVersion::Open(newest, use, &examples_);
  if (base.ok()) {
    base_ = *std::move(base);
    base_use_ = use;
    base_report_ = newest;
    return BeginNearDuplicates(use);
  }
  const bool damaged = base.status().code() == StatusCode::kDataLoss;
  if (use == BaseVersion::Use::kAppend || !damaged) return base.status();
  spdlog::warn("{}; the next version of {} is made without it", base.status().message(),
               newest.name());
  examples_ = ExampleTable();
  return Status();
}

Status Importer::BeginNearDuplicates(BaseVersion::Use use) {
  if (near_ != nullptr || !SeeksNearDuplicates(options_)) return Status();
  ATTUNE_ASSIGN_OR_RETURN(
      near_, NearDuplicatePass::Create(folder_, options_.curation.near_duplicates(), use,
                                       options_.cancelled));
  if (base_ == nullptr) return Status();
  return base_->ForEachShard([&](const Shard& shard, uint32_t examples) {
    return near_->AddBase(base_report_, shard, examples);
  });
}

Status Importer::Append(const std::string& file, std::string_view bytes) {
  return sources_.Append(file, bytes);
}

Status Importer::AddRow(const SourceRow& row) {
  batch_.Add(row);
  return batch_.full() ? ReadBatch() : Status();
}

Status Importer::ReadBatch() {
  ATTUNE_RETURN_IF_ERROR(BeginNearDuplicates(BaseVersion::Use::kReplace));
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
  if (!read.verdict.dropped) return AddExample(read);
  if (!dropped_.Insert(ParseExampleId(read.verdict.findings.front().id)).added) {
    report_.set_duplicates(report_.duplicates() + 1);
    return Status();
  }
  PlaceFindings(&read);
  for (const curation::Finding& finding : read.verdict.findings) {
    ATTUNE_RETURN_IF_ERROR(findings_.Add(finding));
  }
  return Status();
}

void Importer::PlaceFindings(ReadRow* read) const {
  for (curation::Finding& finding : read->verdict.findings) {
    finding.file = sources_.files()[read->file].name();
    finding.line = read->line;
  }
}

Status Importer::AddFindings(std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    ATTUNE_ASSIGN_OR_RETURN(const curation::Finding finding,
                            curation::ParseFinding(lines.substr(0, end)));
    ATTUNE_RETURN_IF_ERROR(findings_.Add(finding));
    lines.remove_prefix(end + 1);
  }
  return Status();
}

uint64_t Importer::ExamplesOfVersion() const {
  const uint64_t absent = base_ == nullptr ? 0 : base_->size() - base_->present();
  return examples_.size() - absent;
}

Status Importer::AddExample(ReadRow& read) {
  const LineFacts facts = FactsOf(*read.row, read.hash, writer_.metadata_keys());
  const ExampleTable::Place place = examples_.Insert(facts.id);
  auto answer = BaseVersion::Answer::kReplaced;
  if (place.added) {
    unlabelled_.push_back(facts.kind == RowKind::kPrompt);
    if (near_ != nullptr) ATTUNE_RETURN_IF_ERROR(near_->Add(read.signature));
  } else {
    const bool in_base = base_ != nullptr && place.number < base_->size();
    answer = in_base ? base_->Take(place.number, facts.hash) : BaseVersion::Answer::kDuplicate;
  }
  ATTUNE_RETURN_IF_ERROR(CheckExamples(ExamplesOfVersion(), options_.examples_max));
  if (answer == BaseVersion::Answer::kDuplicate) {
    report_.set_duplicates(report_.duplicates() + 1);
    return Status();
  }
  PlaceFindings(&read);
  std::string findings;
  for (const auto& finding : read.verdict.findings) findings += undecided_.Format(finding);
  const bool stays = answer == BaseVersion::Answer::kStays;
  return spool_.Append({place.number, read.file, read.line, facts,
                        stays ? std::string_view() : read.shard_line, findings});
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

Status Importer::DecideNearDuplicates() {
  if (near_ == nullptr) return Status();
  ATTUNE_RETURN_IF_ERROR(near_->Decide(base_.get(), unlabelled_));
  writer_.set_on_shard([this](const Shard& shard, const ShardIndex& index) {
    return WriteSignatures(shard, index);
  });
  return LoseBaseExamples();
}

// What is left out of the version that this one begins with. Those that are replaced came again
// and are in the spool, which tells where; those of an append did not.
Status Importer::LoseBaseExamples() {
  for (uint32_t number = 0; base_ != nullptr && number < base_->size(); ++number) {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    const std::optional<curation::Loss> loss = near_->decision().LossOf(number);
    if (!loss) continue;
    base_->LeaveOut(number);
    if (base_use_ == BaseVersion::Use::kReplace) continue;
    ATTUNE_RETURN_IF_ERROR(losses_.Add(number, *loss, {}, {}));
  }
  return Status();
}

Status Importer::WriteSignatures(const Shard& shard, const ShardIndex& index) const {
  std::vector<uint32_t> numbers;
  numbers.reserve(index.lines.size());
  for (const IndexedLine& line : index.lines) numbers.push_back(*examples_.Find(line.id));
  return near_->WriteFile(folder_, shard, numbers);
}

Status Importer::WriteShards() {
  ATTUNE_RETURN_IF_ERROR(DecideNearDuplicates());
  RepresentativeOf representative;
  if (near_ != nullptr) {
    representative = [this](uint32_t number) { return near_->decision().Representative(number); };
  }
  ATTUNE_ASSIGN_OR_RETURN(const SplitDecision split,
                          SplitDecision::Make({.examples = &examples_,
                                               .base = base_.get(),
                                               .unlabelled = &unlabelled_,
                                               .validation_fraction = options_.validation_fraction,
                                               .representative = representative,
                                               .cancelled = options_.cancelled}));
  if (base_ != nullptr) {
    ATTUNE_RETURN_IF_ERROR(base_->WriteStaying(split.counts(), options_.shard_bytes, &writer_));
  }
  ATTUNE_RETURN_IF_ERROR(
      spool_.Drain([&](const SpooledRow& row) { return TakeSpooled(row, split); }));
  return base_ != nullptr ? losses_.Finish(*base_, base_report_, cancelled_) : Status();
}

// What was found in a row counts only if the version has it.
Status Importer::TakeSpooled(const SpooledRow& row, const SplitDecision& split) {
  ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
  if (near_ != nullptr) {
    if (const auto loss = near_->decision().LossOf(row.number)) {
      return losses_.Add(row.number, *loss, {sources_.files()[row.file].name(), row.file_line},
                         row.line);
    }
  }
  ATTUNE_RETURN_IF_ERROR(AddFindings(row.findings));
  if (row.line.empty()) return Status();
  return writer_.Add(split.Of(row.number), row.facts, row.line);
}

Status Importer::FillFindings(Imported* imported) {
  ATTUNE_ASSIGN_OR_RETURN(imported->findings_sha256, findings_.Finish());
  report_.mutable_dropped()->insert(findings_.dropped().begin(), findings_.dropped().end());
  report_.mutable_found()->insert(findings_.kept().begin(), findings_.kept().end());
  if (near_ == nullptr) return Status();
  const curation::ClusterDecision& decision = near_->decision();
  if (decision.joined() > 0) (*report_.mutable_found())["near_duplicate"] = decision.joined();
  if (decision.of_templates() > 0) (*report_.mutable_found())["template"] = decision.of_templates();
  return near_->Finish();
}

// kInvalidArgument when no example is left.
Status Importer::CheckAnyLeft(const Imported& imported) const {
  for (const auto& [split, examples] : imported.report.examples()) {
    if (examples > 0) return Status();
  }
  std::string reasons;
  for (const auto& [reason, examples] : findings_.dropped()) {
    reasons += (reasons.empty() ? "" : ", ") + reason + " (" + std::to_string(examples) + ")";
  }
  return InvalidArgument("curation leaves none of the " + CountOf(usable_, "usable row") +
                         " over: " + reasons);
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
  ATTUNE_RETURN_IF_ERROR(CheckAnyLeft(imported));
  ATTUNE_RETURN_IF_ERROR(FillFindings(&imported));
  imported.report.MergeFrom(report_);
  return imported;
}

}  // namespace attune::datasets
