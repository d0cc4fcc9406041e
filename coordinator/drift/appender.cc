#include "coordinator/drift/appender.h"

#include <fcntl.h>
#include <google/protobuf/util/time_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/write_all.h"
#include "coordinator/drift/due.h"

namespace attune::drift {

Status Appender::Run(const std::optional<WindowRecord>& open, uint64_t last) {
  if (open) {
    ATTUNE_RETURN_IF_ERROR(Begin(*open));
    last = open->window.number();
    if (open->rows >= rows_max_) ATTUNE_RETURN_IF_ERROR(End(true));
  }
  std::vector<char> buffer(kRowsBuffer);
  uint64_t row = 0;
  for (uint64_t at = 0; at < staged_->bytes;) {
    ATTUNE_ASSIGN_OR_RETURN(
        size_t got, ReadAt(staged_->file.fd(), buffer.data(), buffer.size(), at, staged_->path));
    if (got == 0) return DataLoss("the staged rows have gone");
    at += got;
    std::string_view rest(buffer.data(), got);
    while (!rest.empty()) {
      if (!writing_) ATTUNE_RETURN_IF_ERROR(Begin(NewWindow(++last)));
      size_t end = rest.find('\n');
      std::string_view piece = rest.substr(0, end == rest.npos ? end : end + 1);
      ATTUNE_RETURN_IF_ERROR(Add(piece));
      rest.remove_prefix(piece.size());
      if (end == std::string_view::npos) break;
      ATTUNE_RETURN_IF_ERROR(EndRow(staged_->labelled[row++]));
    }
  }
  if (writing_) ATTUNE_RETURN_IF_ERROR(End(false));
  return SyncFolder(folder_);
}

WindowRecord Appender::NewWindow(uint64_t number) const {
  WindowRecord record;
  record.opened = now_;
  record.window.set_stream(staged_->stream);
  record.window.set_number(number);
  *record.window.mutable_opened() =
      google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now_));
  return record;
}

Status Appender::Begin(const WindowRecord& record) {
  windows_.push_back(record);
  path_ = folder_ / FileNameOf(record.window.number());
  file_ = File(open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (file_.fd() < 0) return ErrnoStatus(errno, "open " + path_.string());
  struct stat found {};
  if (fstat(file_.fd(), &found) != 0) return ErrnoStatus(errno, "stat " + path_.string());
  if (static_cast<uint64_t>(found.st_size) < record.bytes) {
    return DataLoss(MissingRows(path_, static_cast<uint64_t>(found.st_size), record.bytes) +
                    "; `attune drift close " + record.window.stream() +
                    "` gives them up and begins the next window");
  }
  // What an append that was not committed has left goes.
  if (ftruncate(file_.fd(), static_cast<off_t>(record.bytes)) != 0 ||
      lseek(file_.fd(), 0, SEEK_END) < 0) {
    return ErrnoStatus(errno, "truncate " + path_.string());
  }
  writing_ = true;
  return Status();
}

Status Appender::Add(std::string_view piece) {
  windows_.back().bytes += piece.size();
  out_.append(piece);
  return out_.size() < kRowsBuffer ? Status() : Flush();
}

Status Appender::EndRow(bool labelled) {
  WindowRecord& record = windows_.back();
  ++record.rows;
  record.labelled += labelled ? 1 : 0;
  return record.rows >= rows_max_ ? End(true) : Status();
}

Status Appender::End(bool full) {
  ATTUNE_RETURN_IF_ERROR(Flush());
  if (fdatasync(file_.fd()) != 0) return ErrnoStatus(errno, "sync " + path_.string());
  file_ = File();
  writing_ = false;
  if (full) MarkFull(&windows_.back(), now_);
  return Status();
}

Status Appender::Flush() {
  ATTUNE_RETURN_IF_ERROR(WriteAll(file_.fd(), out_, "write " + path_.string()));
  out_.clear();
  return Status();
}

}  // namespace attune::drift
