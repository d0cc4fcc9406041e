#include "coordinator/datasets/row_spool.h"

#include <cstring>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

#include "common/base/files.h"

namespace attune::datasets {
namespace {

// In front of each line; never read by another process than the one that wrote it.
struct Header {
  uint64_t line_bytes, findings_bytes, file_line;
  uint64_t file;
  uint32_t number;
  LineFacts facts;
};
static_assert(std::is_trivially_copyable_v<Header>);

}  // namespace

RowSpool::~RowSpool() {
  std::error_code error;
  for (size_t number = 0; number < files_; ++number) std::filesystem::remove(FileOf(number), error);
}

std::filesystem::path RowSpool::FileOf(size_t number) const {
  return folder_ / (".rows-" + std::to_string(number));
}

Status RowSpool::Append(const SpooledRow& row) {
  if (!file_) {
    ATTUNE_ASSIGN_OR_RETURN(UnnamedFile file, UnnamedFile::Create(folder_));
    file_.emplace(std::move(file));
  }
  Header header;
  std::memset(static_cast<void*>(&header), 0, sizeof header);
  header = {row.line.size(), row.findings.size(), row.file_line, row.file, row.number, row.facts};
  ATTUNE_RETURN_IF_ERROR(file_->Append({reinterpret_cast<const char*>(&header), sizeof header}));
  ATTUNE_RETURN_IF_ERROR(file_->Append(row.line));
  ATTUNE_RETURN_IF_ERROR(file_->Append(row.findings));
  return file_->size() < file_bytes_ ? Status() : CloseFile();
}

Status RowSpool::CloseFile() {
  ATTUNE_RETURN_IF_ERROR(
      file_->Place(FileOf(files_).filename().string(), UnnamedFile::Sync::kNone));
  ++files_;
  file_.reset();
  return Status();
}

Status RowSpool::Drain(const std::function<Status(const SpooledRow&)>& take) {
  if (file_) ATTUNE_RETURN_IF_ERROR(CloseFile());
  for (size_t number = 0; number < files_; ++number) {
    ATTUNE_RETURN_IF_ERROR(DrainFile(number, take));
    std::error_code error;
    std::filesystem::remove(FileOf(number), error);
    if (error) return ErrnoStatus(error.value(), "remove " + FileOf(number).string());
  }
  return Status();
}

Status RowSpool::DrainFile(size_t number, const std::function<Status(const SpooledRow&)>& take) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> file, MappedFile::Open(FileOf(number)));
  std::string_view rest(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  const Status cut_off = DataLoss(FileOf(number).string() + " is cut off");
  while (!rest.empty()) {
    Header header;
    if (rest.size() < sizeof header) return cut_off;
    std::memcpy(static_cast<void*>(&header), rest.data(), sizeof header);
    rest.remove_prefix(sizeof header);
    const uint64_t bytes = header.line_bytes + header.findings_bytes;
    if (rest.size() < bytes) return cut_off;
    ATTUNE_RETURN_IF_ERROR(take({header.number, header.file, header.file_line, header.facts,
                                 rest.substr(0, header.line_bytes),
                                 rest.substr(header.line_bytes, header.findings_bytes)}));
    rest.remove_prefix(bytes);
  }
  return Status();
}

}  // namespace attune::datasets
