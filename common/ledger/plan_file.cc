#include "common/ledger/plan_file.h"

#include <algorithm>
#include <cstring>

#include "common/ledger/little_endian.h"

namespace attune::ledger {
namespace {

constexpr std::string_view kMagic = "ATTNPLAN";
constexpr uint32_t kVersion = 1;
constexpr size_t kDigestBytes = 64, kHeaderBytes = 32 + kDigestBytes, kFooterBytes = 64;
constexpr uint64_t kExamplesMax = UINT32_MAX - 1;
constexpr uint32_t kStepsMax = 1'000'000'000;

Status Damaged(const std::string& what) {
  return DataLoss("the plan file is damaged: " + what);
}

Status CheckShape(const PlanShape& shape) {
  const bool fits = shape.examples > 0 && shape.examples <= kExamplesMax && shape.steps > 0 &&
                    shape.steps <= kStepsMax && shape.steps_an_epoch > 0 &&
                    shape.steps_an_epoch <= shape.examples && shape.digest.size() == kDigestBytes;
  return fits ? Status() : InvalidArgument("the plan's numbers are out of range");
}

}  // namespace

std::filesystem::path PlanPath(const std::filesystem::path& run) {
  return run / "ledger" / "plan";
}

Result<PlanFileWriter> PlanFileWriter::Create(const std::filesystem::path& file,
                                              const PlanShape& shape) {
  ATTUNE_RETURN_IF_ERROR(CheckShape(shape));
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter out, AtomicFileWriter::Create(file));
  PlanFileWriter writer(std::move(out), shape);
  std::string header(kMagic);
  AppendU32(kVersion, &header);
  AppendU32(shape.epochs(), &header);
  AppendU64(shape.examples, &header);
  AppendU32(shape.steps_an_epoch, &header);
  AppendU32(shape.steps, &header);
  header += shape.digest;
  ATTUNE_RETURN_IF_ERROR(writer.Write(header));
  return writer;
}

Status PlanFileWriter::Write(std::string_view bytes) {
  hash_->Update(bytes);
  return file_.Append(bytes);
}

Status PlanFileWriter::AddId(std::span<const uint8_t> id) {
  ATTUNE_CHECK(id.size() == kIdBytes && ids_ < shape_.examples && epochs_ == 0);
  ++ids_;
  return Write({reinterpret_cast<const char*>(id.data()), id.size()});
}

Status PlanFileWriter::AddSteps(std::span<const uint32_t> steps) {
  ATTUNE_CHECK(ids_ == shape_.examples && steps.size() == ids_ && epochs_ < shape_.epochs());
  ++epochs_;
  std::string bytes;
  bytes.reserve(steps.size() * sizeof(uint32_t));
  for (const uint32_t step : steps) AppendU32(step, &bytes);
  return Write(bytes);
}

Status PlanFileWriter::Commit() {
  ATTUNE_CHECK(epochs_ == shape_.epochs());
  ATTUNE_RETURN_IF_ERROR(file_.Append(hash_->Hex()));
  return file_.Commit();
}

Result<PlanFile> PlanFile::Open(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(file));
  auto parsed = Parse(map->bytes());
  if (!parsed.ok()) return parsed.status().WithContext(file.string());
  parsed->map_ = std::move(map);
  return parsed;
}

Result<PlanFile> PlanFile::Parse(std::span<const std::byte> bytes) {
  PlanFile plan;
  plan.bytes_ = bytes;
  ATTUNE_RETURN_IF_ERROR(plan.Check());
  return plan;
}

Status PlanFile::Check() {
  if (bytes_.size() < kHeaderBytes + kFooterBytes) return Damaged("it is too short");
  const std::byte* header = bytes_.data();
  if (std::memcmp(header, kMagic.data(), kMagic.size()) != 0) return Damaged("it is another file");
  if (const uint32_t version = LoadU32(header + 8); version != kVersion) {
    return DataLoss("version " + std::to_string(version) + " of the plan file is not known here");
  }
  shape_ = {LoadU64(header + 16), LoadU32(header + 24), LoadU32(header + 28),
            std::string(reinterpret_cast<const char*>(header + 32), kDigestBytes)};
  if (!CheckShape(shape_).ok() || LoadU32(header + 12) != shape_.epochs()) {
    return Damaged("its numbers are out of range");
  }
  // No product overflows: fewer than 2^32 examples, fewer than 2^30 epochs.
  const uint64_t content = shape_.examples * (kIdBytes + 4 * uint64_t{shape_.epochs()});
  if (bytes_.size() != kHeaderBytes + content + kFooterBytes) return Damaged("it has another size");
  Sha256 hash;
  hash.Update(header, kHeaderBytes + content);
  const auto* footer = reinterpret_cast<const char*>(header + kHeaderBytes + content);
  if (hash.Hex() != std::string_view(footer, kFooterBytes)) {
    return Damaged("the checksum does not match the content");
  }
  for (uint32_t epoch = 0; epoch < shape_.epochs(); ++epoch) {
    const uint64_t first = uint64_t{epoch} * shape_.steps_an_epoch;
    const uint64_t last = std::min<uint64_t>(first + shape_.steps_an_epoch, shape_.steps);
    for (uint64_t example = 0; example < shape_.examples; ++example) {
      const uint32_t step = Step(epoch, example);
      if (step != 0 && (step <= first || step > last)) return Damaged("a step is out of range");
    }
  }
  return Status();
}

std::span<const uint8_t> PlanFile::Id(uint64_t example) const {
  ATTUNE_CHECK(example < shape_.examples);
  const std::byte* id = bytes_.data() + kHeaderBytes + example * kIdBytes;
  return {reinterpret_cast<const uint8_t*>(id), kIdBytes};
}

uint32_t PlanFile::Step(uint32_t epoch, uint64_t example) const {
  ATTUNE_CHECK(epoch < shape_.epochs() && example < shape_.examples);
  const uint64_t place = epoch * shape_.examples + example;
  return LoadU32(bytes_.data() + kHeaderBytes + shape_.examples * kIdBytes + 4 * place);
}

}  // namespace attune::ledger
