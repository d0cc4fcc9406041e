#include "coordinator/drift/observations.h"

#include <fcntl.h>
#include <google/protobuf/util/time_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "coordinator/datasets/line_reader.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/utf8.h"
#include "coordinator/drift/due.h"
#include "coordinator/drift/text.h"
#include "coordinator/store/events.h"
#include "coordinator/store/requests.h"

namespace attune::drift {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMethod = "Observe";
constexpr size_t kFileNameBytesMax = 1024;
constexpr int kReasonsInMessage = 3;
constexpr int kTries = 4;
constexpr int kEventsKept = 50;
constexpr size_t kBuffer = 1 << 20;
constexpr const char* kStaging = ".staging";

class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

Status WriteAll(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write " + path.string());
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return Status();
}

// Up to size bytes at offset; fewer at the end of the file.
Result<size_t> ReadAt(int fd, char* out, size_t size, uint64_t offset, const fs::path& path) {
  for (;;) {
    ssize_t got = pread(fd, out, size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return ErrnoStatus(errno, "read " + path.string());
  }
}

std::string Missing(const fs::path& path, uint64_t has, uint64_t committed) {
  return path.string() + " has " + std::to_string(has) + " of " + std::to_string(committed) +
         " bytes: rows of the window are lost";
}

// The whole folder is away, as when a disk is not mounted: what it held may come back.
Status FolderIsAway(const fs::path& folder) {
  return Unavailable(
      "there is no folder " + folder.string() +
      " though it holds rows: mount or restore what it is on, or make the folder to give "
      "them up");
}

std::string FileName(uint64_t window) {
  std::string number = std::to_string(window);
  return std::string(8 - std::min<size_t>(number.size(), 8), '0') + number + ".jsonl";
}

std::optional<uint64_t> WindowOfFile(const fs::path& file) {
  std::string name = file.filename().string();
  uint64_t number = 0;
  auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || FileName(number) != name) return std::nullopt;
  return number;
}

std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  return entries;
}

void RemoveAll(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) spdlog::warn("cannot remove {}: {}", path.string(), error.message());
}

std::string Summary(const v1::ObserveResponse& response) {
  return CountOf(response.accepted(), "row") + " (" + std::to_string(response.labelled()) +
         " with an answer), " + std::to_string(response.rejected()) + " rejected";
}

std::string Reasons(const v1::ObserveResponse& response) {
  std::string reasons;
  for (int i = 0; i < std::min(response.rejected_rows_size(), kReasonsInMessage); ++i) {
    reasons += (i == 0 ? ": " : "; ") + response.rejected_rows(i);
  }
  return reasons;
}

// Watched files have nobody else to tell.
void NoteRejected(const v1::ObserveResponse& response, TimePoint now, v1::Stream* stream) {
  if (response.rejected() == 0) return;
  stream->set_rejected(stream->rejected() + response.rejected());
  stream->set_rejected_last(CountOf(response.rejected(), "row") + Reasons(response));
  *stream->mutable_rejected_at() =
      google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now));
}

}  // namespace

struct Batch::State {
  State(ObservationStore* s, StreamRecord r, std::string id, uint64_t most, File f, fs::path p,
        datasets::LineReader::Handler handler)
      : store(s),
        stream(std::move(r)),
        request_id(std::move(id)),
        bytes_max(most),
        staged(std::move(f)),
        staged_path(std::move(p)),
        lines(datasets::kLineBytesMax, std::move(handler)) {}

  Status Flush() {
    ATTUNE_RETURN_IF_ERROR(WriteAll(staged.fd(), buffer, staged_path));
    buffer.clear();
    return Status();
  }

  ObservationStore* const store;
  const StreamRecord stream;
  const std::string request_id;
  const uint64_t bytes_max;
  const File staged;  // the usable rows, a line each; has no name any more
  const fs::path staged_path;
  datasets::LineReader lines;
  std::string file, buffer;
  uint64_t bytes = 0;
  std::vector<bool> labelled;  // of each row
  v1::ObserveResponse response;
};

Batch::Batch(std::unique_ptr<State> state) : state_(std::move(state)) {}
Batch::~Batch() = default;

Status Batch::Append(const std::string& file, std::string_view bytes) {
  if (done_) return Status();
  if (file != state_->file) {
    ATTUNE_RETURN_IF_ERROR(state_->lines.EndFile());
    state_->file = file;
  }
  return state_->lines.Append(bytes);
}

Status Batch::AddLine(uint64_t number, std::string_view text, bool too_long) {
  State& s = *state_;
  if (!too_long && datasets::IsBlank(text)) return Status();
  Result<datasets::Row> row = too_long ? Result<datasets::Row>(InvalidArgument("longer than 8 MiB"))
                                       : datasets::ParseRow(text, true);
  if (!row.ok()) {
    s.response.set_rejected(s.response.rejected() + 1);
    if (s.response.rejected_rows_size() < kRejectedRowsReported) {
      s.response.add_rejected_rows(Shorten(s.file, kFileNameBytesMax) + ":" +
                                   std::to_string(number) + ": " + row.status().message());
    }
    return Status();
  }
  s.bytes += text.size() + 1;
  if (s.bytes > s.bytes_max) {
    return ResourceExhausted("more than " + std::to_string(s.bytes_max >> 20) +
                             " MiB of rows in one call: send them in several");
  }
  s.labelled.push_back(IsLabelled(*row));
  s.response.set_accepted(s.response.accepted() + 1);
  if (s.labelled.back()) s.response.set_labelled(s.response.labelled() + 1);
  s.buffer.append(text);
  s.buffer += '\n';
  return s.buffer.size() < kBuffer ? Status() : s.Flush();
}

Status Batch::NothingUsable() const {
  const v1::ObserveResponse& response = state_->response;
  return InvalidArgument("none of the " + std::to_string(response.rejected()) +
                         " rows can be used" + Reasons(response));
}

Result<v1::ObserveResponse> Batch::Finish(const FileRecord* read) {
  if (done_) return *done_;
  ATTUNE_RETURN_IF_ERROR(state_->lines.EndFile());
  ATTUNE_RETURN_IF_ERROR(state_->Flush());
  if (state_->response.accepted() == 0 && state_->response.rejected() > 0 && read == nullptr) {
    ATTUNE_RETURN_IF_ERROR(state_->store->SaveRejected(*state_));
    return NothingUsable();
  }
  return state_->store->Commit(state_.get(), read);
}

// Copies staged rows to the files of their windows. The records are what is committed next.
class ObservationStore::Appender {
 public:
  Appender(fs::path folder, Batch::State* batch, TimePoint now, uint64_t rows_max)
      : folder_(std::move(folder)), batch_(batch), now_(now), rows_max_(rows_max) {}

  // open: the window that takes rows, if there is one; else last is the number of the newest.
  Status Run(const std::optional<WindowRecord>& open, uint64_t last) {
    if (open) {
      ATTUNE_RETURN_IF_ERROR(Begin(*open));
      last = open->window.number();
      if (open->rows >= rows_max_) ATTUNE_RETURN_IF_ERROR(End(true));
    }
    std::vector<char> buffer(kBuffer);
    uint64_t row = 0;
    for (uint64_t at = 0; at < batch_->bytes;) {
      ATTUNE_ASSIGN_OR_RETURN(size_t got, ReadAt(batch_->staged.fd(), buffer.data(), buffer.size(),
                                                 at, batch_->staged_path));
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
        ATTUNE_RETURN_IF_ERROR(EndRow(batch_->labelled[row++]));
      }
    }
    if (writing_) ATTUNE_RETURN_IF_ERROR(End(false));
    return SyncFolder(folder_);
  }

  std::vector<WindowRecord>& windows() { return windows_; }

 private:
  WindowRecord NewWindow(uint64_t number) const {
    WindowRecord record;
    record.opened = now_;
    record.window.set_stream(batch_->stream.stream.spec().name());
    record.window.set_number(number);
    *record.window.mutable_opened() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now_));
    return record;
  }

  Status Begin(const WindowRecord& record) {
    windows_.push_back(record);
    path_ = folder_ / FileName(record.window.number());
    file_ = File(open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (file_.fd() < 0) return ErrnoStatus(errno, "open " + path_.string());
    struct stat found {};
    if (fstat(file_.fd(), &found) != 0) return ErrnoStatus(errno, "stat " + path_.string());
    if (static_cast<uint64_t>(found.st_size) < record.bytes) {
      return DataLoss(Missing(path_, static_cast<uint64_t>(found.st_size), record.bytes) +
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

  Status Add(std::string_view piece) {
    windows_.back().bytes += piece.size();
    out_.append(piece);
    return out_.size() < kBuffer ? Status() : Flush();
  }

  Status EndRow(bool labelled) {
    WindowRecord& record = windows_.back();
    ++record.rows;
    record.labelled += labelled ? 1 : 0;
    return record.rows >= rows_max_ ? End(true) : Status();
  }

  Status End(bool full) {
    ATTUNE_RETURN_IF_ERROR(Flush());
    if (fdatasync(file_.fd()) != 0) return ErrnoStatus(errno, "sync " + path_.string());
    file_ = File();
    writing_ = false;
    if (full) MarkFull(&windows_.back(), now_);
    return Status();
  }

  Status Flush() {
    ATTUNE_RETURN_IF_ERROR(WriteAll(file_.fd(), out_, path_));
    out_.clear();
    return Status();
  }

  const fs::path folder_;
  Batch::State* const batch_;
  const TimePoint now_;
  const uint64_t rows_max_;
  std::vector<WindowRecord> windows_;
  bool writing_ = false;
  File file_;
  fs::path path_;
  std::string out_;
};

ObservationStore::ObservationStore(Database* database, const fs::path& storage,
                                   ObservationOptions options)
    : database_(database), root_(storage / "live"), options_(std::move(options)) {}

fs::path ObservationStore::FolderOf(const StreamRecord& stream) const {
  return root_ / stream.stream.spec().name() / stream.incarnation;
}

Result<std::unique_ptr<Batch>> ObservationStore::Start(const std::string& request_id,
                                                       const std::string& name,
                                                       const std::string& incarnation) {
  StreamRecord stream;
  std::optional<std::string> earlier;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    ATTUNE_ASSIGN_OR_RETURN(earlier, FindRequest(transaction, request_id, kMethod, name));
    if (earlier) return Status();
    ATTUNE_ASSIGN_OR_RETURN(stream, incarnation.empty()
                                        ? FindStream(transaction, name)
                                        : FindStream(transaction, name, incarnation));
    return Status();
  }));
  if (earlier) {
    std::unique_ptr<Batch> batch(new Batch(nullptr));
    if (!batch->done_.emplace().ParseFromString(*earlier)) {
      return DataLoss("a stored answer cannot be read");
    }
    return batch;
  }
  const fs::path folder = root_ / kStaging;
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  const fs::path path = folder / NewId("batch");
  File file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.fd() < 0) return ErrnoStatus(errno, "create " + path.string());
  unlink(path.c_str());  // gone with the batch, or with the process
  std::unique_ptr<Batch> batch(new Batch(nullptr));
  auto add_line = [b = batch.get()](const datasets::Line& line) {
    return b->AddLine(line.number, line.text, line.too_long);
  };
  batch->state_ =
      std::make_unique<Batch::State>(this, std::move(stream), request_id,
                                     options_.backlog_bytes_max, std::move(file), path, add_line);
  return batch;
}

Result<v1::ObserveResponse> ObservationStore::Commit(Batch::State* batch, const FileRecord* read) {
  MutexLock lock(&append_mutex_);
  for (int attempt = 1;; ++attempt) {
    bool again = false;
    Result<v1::ObserveResponse> response = TryCommit(batch, read, &again);
    // The open window was closed meanwhile: the rows belong to the next.
    if (again && attempt < kTries) continue;
    return response;
  }
}

Result<v1::ObserveResponse> ObservationStore::TryCommit(Batch::State* batch, const FileRecord* read,
                                                        bool* again) {
  const std::string& name = batch->stream.stream.spec().name();
  StreamRecord stream;
  std::optional<WindowRecord> open;
  uint64_t last = 0, backlog = 0;
  TimePoint now;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    ATTUNE_ASSIGN_OR_RETURN(stream, FindStream(transaction, name, batch->stream.incarnation));
    open = FindOpenWindow(transaction, name);
    last = LastWindowNumber(transaction, name);
    backlog = BacklogBytes(transaction, name);
    now = transaction.now();
    return Status();
  }));
  if (backlog + batch->bytes > options_.backlog_bytes_max) {
    return ResourceExhausted("stream '" + name + "' holds " + std::to_string(backlog >> 20) +
                             " MiB of rows that are no data set version yet, at most " +
                             std::to_string(options_.backlog_bytes_max >> 20) +
                             " MiB fit: try again later; `attune drift show " + name +
                             "` says what it waits for");
  }
  Appender appender(FolderOf(stream), batch, now, stream.stream.spec().window().examples());
  if (batch->bytes > 0) {
    if (backlog > 0 && access(FolderOf(stream).c_str(), F_OK) != 0) {
      return FolderIsAway(FolderOf(stream));
    }
    ATTUNE_RETURN_IF_ERROR(CreateFolders(FolderOf(stream)));
    ATTUNE_RETURN_IF_ERROR(appender.Run(open, last));
  }
  ATTUNE_RETURN_IF_ERROR(Fault("appended"));
  v1::ObserveResponse response = batch->response;
  std::optional<std::string> earlier;
  ATTUNE_RETURN_IF_ERROR(database_->Write([&](Transaction& transaction) {
    ATTUNE_ASSIGN_OR_RETURN(earlier, FindRequest(transaction, batch->request_id, kMethod, name));
    if (earlier) return Status();
    ATTUNE_ASSIGN_OR_RETURN(stream, FindStream(transaction, name, batch->stream.incarnation));
    auto open_now = FindOpenWindow(transaction, name);
    const bool same =
        open_now.has_value() == open.has_value() && LastWindowNumber(transaction, name) == last;
    if (!same) {
      *again = true;
      return Unavailable("the window was closed while rows were written: try again");
    }
    for (const WindowRecord& record : appender.windows()) {
      SaveWindow(transaction, record);
      if (record.phase == Phase::kFull) {
        stream.stream.set_windows(stream.stream.windows() + 1);
      }
    }
    stream.stream.set_observed(stream.stream.observed() + response.accepted());
    NoteRejected(response, transaction.now(), &stream.stream);
    SaveStream(transaction, stream);
    if (read != nullptr) SaveFile(transaction, name, *read);
    response.set_waiting(CountWaiting(transaction, name));
    SaveRequest(transaction, batch->request_id, kMethod, name, response.SerializeAsString());
    transaction.AppendEvent("stream", name, "observed",
                            Summary(response) + (read == nullptr ? "" : " from " + read->path),
                            stream.stream.SerializeAsString());
    PruneEvents(transaction, "stream", name, "observed", kEventsKept);
    return Status();
  }));
  if (earlier && !response.ParseFromString(*earlier)) {
    return DataLoss("a stored answer cannot be read");
  }
  return response;
}

Status ObservationStore::SaveRejected(const Batch::State& batch) {
  return database_->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord stream,
                            FindStream(transaction, batch.stream.stream.spec().name(),
                                       batch.stream.incarnation));
    NoteRejected(batch.response, transaction.now(), &stream.stream);
    SaveStream(transaction, stream);
    return Status();
  });
}

Status ObservationStore::ReadRows(const StreamRecord& stream, const WindowRecord& window,
                                  const std::function<Status(std::string_view)>& take) const {
  const fs::path path = FolderOf(stream) / FileName(window.window.number());
  File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0 && errno != ENOENT) return ErrnoStatus(errno, "open " + path.string());
  if (file.fd() < 0 && access(FolderOf(stream).c_str(), F_OK) != 0) {
    return FolderIsAway(FolderOf(stream));
  }
  std::vector<char> buffer(kBuffer);
  for (uint64_t at = 0; at < window.bytes;) {
    size_t wanted = std::min<uint64_t>(buffer.size(), window.bytes - at);
    size_t got = 0;
    if (file.fd() >= 0) {
      ATTUNE_ASSIGN_OR_RETURN(got, ReadAt(file.fd(), buffer.data(), wanted, at, path));
    }
    if (got == 0) {
      return DataLoss(Missing(path, at, window.bytes));
    }
    at += got;
    ATTUNE_RETURN_IF_ERROR(take(std::string_view(buffer.data(), got)));
  }
  return Status();
}

void ObservationStore::RemoveRows(const StreamRecord& stream, uint64_t window) {
  RemoveAll(FolderOf(stream) / FileName(window));
}

void ObservationStore::RemoveStream(const StreamRecord& stream) {
  RemoveAll(FolderOf(stream));
  std::error_code error;
  fs::remove(FolderOf(stream).parent_path(), error);  // only when it is empty
}

Status ObservationStore::Reconcile() {
  std::map<std::string, StreamRecord> streams;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    for (std::string after;;) {
      std::vector<StreamRecord> page = LoadStreams(transaction, after, kPageSizeMax);
      if (page.empty()) return Status();
      after = page.back().stream.spec().name();
      for (StreamRecord& record : page) streams[record.stream.spec().name()] = std::move(record);
    }
  }));
  for (const fs::path& folder : Entries(root_)) {
    auto stream = streams.find(folder.filename().string());
    if (stream == streams.end()) {
      RemoveAll(folder);
      continue;
    }
    for (const fs::path& of_incarnation : Entries(folder)) {
      if (of_incarnation == FolderOf(stream->second)) {
        if (stream->second.unreadable) continue;  // restored, it has them again
        Status status = ReconcileStream(of_incarnation, stream->second);
        if (!status.ok()) {
          spdlog::error("stream '{}': {}", stream->first, status.message());
        }
      } else {
        RemoveAll(of_incarnation);
      }
    }
  }
  return Status();
}

Status ObservationStore::ReconcileStream(const fs::path& folder, const StreamRecord& stream) {
  for (const fs::path& path : Entries(folder)) {
    std::optional<uint64_t> number = WindowOfFile(path);
    std::optional<WindowRecord> window;
    if (number) {
      ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
        window = FindWindow(transaction, stream.stream.spec().name(), *number);
        return Status();
      }));
    }
    const bool is_dataset = window && !window->window.dataset().empty();
    if (!window || is_dataset) {
      RemoveAll(path);
      continue;
    }
    if (window->phase >= Phase::kClosed) continue;  // it failed: its rows are nowhere else
    // One that cannot be cut back is cut, or refused with its name, when rows are added; no reader
    // goes past what was committed.
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (!error && size > window->bytes) {
      spdlog::info("cutting {} back to the {} bytes that were committed", path.string(),
                   window->bytes);
      fs::resize_file(path, window->bytes, error);
    }
    if (error) spdlog::error("{}: {}", path.string(), error.message());
  }
  return Status();
}

}  // namespace attune::drift
