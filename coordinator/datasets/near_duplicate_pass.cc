#include "coordinator/datasets/near_duplicate_pass.h"

#include <algorithm>
#include <thread>

#include "common/base/files.h"
#include "common/base/parallel_for.h"
#include "common/log/log.h"
#include "coordinator/curation/reading_text.h"
#include "coordinator/curation/signature_file.h"
#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/shard_reader.h"
#include "coordinator/datasets/unnamed_file.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScratchFolder = ".near-duplicates";
constexpr size_t kBatchBytes = 4 << 20;

// Lines whose signatures are made together, on all cores.
class LineBatch {
 public:
  explicit LineBatch(std::vector<curation::Signature>* signatures) : signatures_(signatures) {}

  Status Add(std::string_view line) {
    lines_.emplace_back(line);
    bytes_ += line.size();
    return bytes_ >= kBatchBytes ? Flush() : Status();
  }
  Status Flush() {
    const size_t first = signatures_->size();
    signatures_->resize(first + lines_.size());
    const int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    ATTUNE_RETURN_IF_ERROR(ParallelFor(lines_.size(), threads, [&](size_t i) {
      const RowJson json = RowJson::parse(lines_[i], nullptr, /*allow_exceptions=*/false);
      const std::string text = json.is_object() ? curation::ReadingText(json) : lines_[i];
      (*signatures_)[first + i] = curation::SignatureOf(text);
      return Status();
    }));
    lines_.clear();
    bytes_ = 0;
    return Status();
  }

 private:
  std::vector<curation::Signature>* const signatures_;
  std::vector<std::string> lines_;
  size_t bytes_ = 0;
};

// Of a line that cannot be read: equal to no other's.
curation::Signature UniqueSignature(const Shard& shard, size_t line) {
  return curation::SignatureOf(shard.sha256 + " " + std::to_string(line));
}

curation::Side SideOf(std::string_view split) {
  return split == "train"        ? curation::Side::kTrain
         : split == "validation" ? curation::Side::kValidation
                                 : curation::Side::kUnlabelled;
}

}  // namespace

std::string SignatureFileOf(const Shard& shard) {
  return fs::path(shard.file).replace_extension(".minhash").string();
}

NearDuplicatePass::NearDuplicatePass(fs::path scratch, v1::NearDuplicatesSpec spec,
                                     BaseVersion::Use use, CancelCheck cancelled,
                                     curation::NearDuplicates near)
    : scratch_(std::move(scratch)),
      spec_(std::move(spec)),
      use_(use),
      cancelled_(std::move(cancelled)),
      near_(std::make_unique<curation::NearDuplicates>(std::move(near))) {}

NearDuplicatePass::~NearDuplicatePass() {
  std::error_code ignored;  // the whole folder goes, or Finish has been here
  fs::remove_all(scratch_, ignored);
}

Result<std::unique_ptr<NearDuplicatePass>> NearDuplicatePass::Create(
    const fs::path& folder, const v1::NearDuplicatesSpec& spec, BaseVersion::Use use,
    CancelCheck cancelled) {
  const fs::path scratch = folder / kScratchFolder;
  ATTUNE_RETURN_IF_ERROR(CreateFolders(scratch));
  const curation::NearDuplicateOptions options{
      .folder = scratch,
      .threshold = spec.threshold(),
      .stored_are_compared = use == BaseVersion::Use::kReplace,
      .cancelled = cancelled};
  ATTUNE_ASSIGN_OR_RETURN(curation::NearDuplicates near, curation::NearDuplicates::Create(options));
  return std::unique_ptr<NearDuplicatePass>(
      new NearDuplicatePass(scratch, spec, use, std::move(cancelled), std::move(near)));
}

Status NearDuplicatePass::AddBase(const v1::DatasetVersion& version, const Shard& shard,
                                  uint64_t examples) {
  ATTUNE_RETURN_IF_ERROR(cancelled_.Now());
  const auto add = [&](const fs::path& path) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> file, MappedFile::Open(path));
    ATTUNE_ASSIGN_OR_RETURN(const std::span<const curation::Signature> signatures,
                            curation::ParseSignatureFile(file->bytes(), shard.sha256));
    if (signatures.size() != examples) return DataLoss("not as many signatures as examples");
    return near_->AddStored(signatures, std::move(file));
  };
  const uint64_t first = base_examples_;
  base_examples_ += examples;
  const fs::path kept = fs::path(version.path()) / SignatureFileOf(shard);
  if (add(kept).ok()) {
    kept_.emplace(shard.sha256, kept);
    return Status();
  }
  const fs::path made = scratch_ / SignatureFileOf(shard);
  ATTUNE_RETURN_IF_ERROR(MakeSignatures(version, shard, first, examples, made));
  return add(made);
}

Status NearDuplicatePass::MakeSignatures(const v1::DatasetVersion& version, const Shard& shard,
                                         uint64_t first, uint64_t examples, const fs::path& file) {
  std::vector<curation::Signature> signatures;
  LineBatch batch(&signatures);
  Status read = ReadShard(version, shard, [&](std::string_view line) -> Status {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    return batch.Add(line);
  });
  if (read.ok()) read = batch.Flush();
  if (read.ok() && signatures.size() != examples) read = DataLoss("not as many lines as examples");
  if (!read.ok() && read.code() != StatusCode::kDataLoss) return read;
  if (!read.ok()) {
    spdlog::warn("near-duplicates of {} are not looked for: {}", shard.file, read.message());
    signatures.clear();
    made_up_.push_back({first, examples});
    for (uint64_t i = 0; i < examples; ++i) signatures.push_back(UniqueSignature(shard, i));
  }
  return WriteNamed(file, curation::FormatSignatureFile(shard.sha256, signatures),
                    UnnamedFile::Sync::kNone);
}

Status NearDuplicatePass::Decide(const BaseVersion* base, const std::vector<bool>& unlabelled) {
  curation::ClusterFacts facts;
  ATTUNE_ASSIGN_OR_RETURN(facts.first, near_->Finish());
  const uint32_t older = base == nullptr ? 0 : base->size();
  facts.base = older;
  facts.present = [=](uint32_t example) { return example >= older || base->IsPresent(example); };
  facts.side = [=, &unlabelled](uint32_t example) {
    if (example < older) return SideOf(base->SplitOf(example));
    return unlabelled[example - older] ? curation::Side::kUnlabelled : curation::Side::kUndecided;
  };
  facts.similarity = [this](uint32_t a, uint32_t b) {
    return curation::Similarity(near_->At(a), near_->At(b));
  };
  facts.accepted = near_->accepted();
  facts.remove = spec_.action() == "remove";
  facts.base_stays = use_ == BaseVersion::Use::kAppend;
  facts.cancelled = cancelled_;
  ATTUNE_ASSIGN_OR_RETURN(curation::ClusterDecision decision,
                          curation::ClusterDecision::Make(std::move(facts)));
  decision_ = std::make_unique<curation::ClusterDecision>(std::move(decision));
  return Status();
}

Status NearDuplicatePass::WriteFile(const fs::path& folder, const Shard& shard,
                                    const std::vector<uint32_t>& examples) const {
  const fs::path file = folder / SignatureFileOf(shard);
  if (const auto kept = kept_.find(shard.sha256); kept != kept_.end()) {
    std::error_code error;
    fs::create_hard_link(kept->second, file, error);
    if (!error) return Status();
  }
  // The next import makes them of the rows that are sound again.
  const auto is_made_up = [this](uint32_t example) {
    return std::ranges::any_of(made_up_, [&](const MadeUp& part) {
      return example >= part.first && example - part.first < part.examples;
    });
  };
  if (std::ranges::any_of(examples, is_made_up)) return Status();
  std::vector<curation::Signature> signatures;
  signatures.reserve(examples.size());
  for (uint32_t example : examples) signatures.push_back(near_->At(example));
  return WriteNamed(file, curation::FormatSignatureFile(shard.sha256, signatures),
                    UnnamedFile::Sync::kNone);
}

Status NearDuplicatePass::Finish() {
  near_.reset();
  std::error_code error;
  fs::remove_all(scratch_, error);
  return error ? ErrnoStatus(error.value(), "remove " + scratch_.string()) : Status();
}

}  // namespace attune::datasets
