#include "common/ledger/step_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/write_all.h"
#include "common/ledger/little_endian.h"

namespace attune::ledger {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "ATTNSTEP", kPrefix = "generation-";
constexpr uint32_t kVersion = 1;
constexpr size_t kDigestBytes = 64, kHeaderBytes = 32 + kDigestBytes, kRecordBytes = 24;

std::string FileName(uint32_t generation) {
  char name[32];
  std::snprintf(name, sizeof name, "%s%08u", kPrefix.data(), generation);
  return name;
}

// Of a record: tells one that was damaged.
uint32_t CheckOf(uint32_t generation, const AppliedStep& step) {
  const uint64_t place = uint64_t{generation} << 32 | step.step;
  const uint64_t mixed = Random(Random(place).Next() ^ step.sum.examples).Next();
  return static_cast<uint32_t>(Random(mixed ^ step.sum.digest).Next());
}

}  // namespace

Result<StepLogWriter> StepLogWriter::Create(const fs::path& run, const Attempt& attempt) {
  ATTUNE_CHECK(attempt.generation > 0 && attempt.plan_digest.size() == kDigestBytes);
  const fs::path folder = run / "ledger";
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  std::string header(kMagic);
  AppendU32(kVersion, &header);
  AppendU32(attempt.generation, &header);
  AppendU32(attempt.ranks, &header);
  AppendU32(attempt.resumed_step, &header);
  AppendU32(attempt.resumed_generation, &header);
  AppendU32(0, &header);
  header += attempt.plan_digest;
  const fs::path path = folder / FileName(attempt.generation);
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(path, header));
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
  return StepLogWriter(fd, path, attempt.generation);
}

StepLogWriter::~StepLogWriter() {
  if (fd_ >= 0) close(fd_);
}

StepLogWriter::StepLogWriter(StepLogWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(other.path_), generation_(other.generation_) {}

Status StepLogWriter::Add(const AppliedStep& step) {
  std::string record;
  AppendU32(step.step, &record);
  AppendU32(CheckOf(generation_, step), &record);
  AppendU64(step.sum.examples, &record);
  AppendU64(step.sum.digest, &record);
  return Write(record);
}

Status StepLogWriter::Write(const std::string& bytes) {
  return WriteAll(fd_, bytes, "write " + path_.string());
}

Status StepLogWriter::Sync() {
  return fdatasync(fd_) == 0 ? Status() : ErrnoStatus(errno, "sync " + path_.string());
}

Result<StepLog> ParseStepLog(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return DataLoss("it is no record of steps");
  }
  const std::byte* header = bytes.data();
  if (const uint32_t version = LoadU32(header + 8); version != kVersion) {
    return DataLoss("version " + std::to_string(version) + " of step records is not known here");
  }
  StepLog log;
  log.attempt = {LoadU32(header + 12), LoadU32(header + 16), LoadU32(header + 20),
                 LoadU32(header + 24),
                 std::string(reinterpret_cast<const char*>(header + 32), kDigestBytes)};
  const Attempt& attempt = log.attempt;
  if (attempt.generation == 0 || attempt.resumed_generation >= attempt.generation) {
    return DataLoss("its numbers are out of range");
  }
  const size_t records = (bytes.size() - kHeaderBytes) / kRecordBytes;
  log.steps.reserve(records);
  for (size_t i = 0; i < records; ++i) {
    const std::byte* record = header + kHeaderBytes + i * kRecordBytes;
    const AppliedStep step{LoadU32(record), {LoadU64(record + 8), LoadU64(record + 16)}};
    // After a loss of power a file may end in zeros: steps that nothing relied on yet.
    if (std::all_of(record, header + bytes.size(), [](std::byte b) { return b == std::byte{0}; })) {
      break;
    }
    if (LoadU32(record + 4) != CheckOf(attempt.generation, step) || step.step == 0) {
      return DataLoss("record " + std::to_string(i + 1) + " is damaged");
    }
    log.steps.push_back(step);
  }
  return log;
}

Result<std::vector<StepLog>> ReadStepLogs(const fs::path& run) {
  std::vector<StepLog> logs;
  std::error_code error;
  for (fs::directory_iterator it(run / "ledger", error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kPrefix) || name.find(".tmp.") != name.npos) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<MappedFile> map, MappedFile::Open(it->path()));
    auto log = ParseStepLog(map->bytes());
    if (!log.ok()) return log.status().WithContext(it->path().string());
    if (name != FileName(log->attempt.generation)) {
      return DataLoss(it->path().string() + " is of another attempt");
    }
    logs.push_back(std::move(*log));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), "list " + (run / "ledger").string());
  }
  std::ranges::sort(logs, {}, [](const StepLog& log) { return log.attempt.generation; });
  return logs;
}

}  // namespace attune::ledger
