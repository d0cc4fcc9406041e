#include "coordinator/drift/observations.h"

#include <fcntl.h>
#include <google/protobuf/util/time_util.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/text.h"
#include "coordinator/drift/appender.h"
#include "coordinator/drift/batch.h"
#include "coordinator/drift/text.h"
#include "coordinator/store/events.h"
#include "coordinator/store/requests.h"

namespace attune::drift {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMethod = "Observe";
constexpr int kTries = 4;
constexpr int kEventsKept = 50;
constexpr const char* kStaging = ".staging";

std::string Summary(const v1::ObserveResponse& response) {
  return CountOf(response.accepted(), "row") + " (" + std::to_string(response.labelled()) +
         " with an answer), " + std::to_string(response.rejected()) + " rejected";
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
  batch->state_ = std::make_unique<Batch::State>(this, std::move(stream), request_id,
                                                 options_.backlog_bytes_max, add_line);
  StagedRows& staged = batch->state_->staged;
  staged.stream = name;
  staged.file = std::move(file);
  staged.path = path;
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
  if (backlog + batch->staged.bytes > options_.backlog_bytes_max) {
    return ResourceExhausted("stream '" + name + "' holds " + std::to_string(backlog >> 20) +
                             " MiB of rows that are no data set version yet, at most " +
                             std::to_string(options_.backlog_bytes_max >> 20) +
                             " MiB fit: try again later; `attune drift show " + name +
                             "` says what it waits for");
  }
  Appender appender(FolderOf(stream), &batch->staged, now,
                    stream.stream.spec().window().examples());
  if (batch->staged.bytes > 0) {
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
    ATTUNE_ASSIGN_OR_RETURN(
        StreamRecord stream,
        FindStream(transaction, batch.stream.stream.spec().name(), batch.stream.incarnation));
    NoteRejected(batch.response, transaction.now(), &stream.stream);
    SaveStream(transaction, stream);
    return Status();
  });
}

Status ObservationStore::ReadRows(const StreamRecord& stream, const WindowRecord& window,
                                  const std::function<Status(std::string_view)>& take) const {
  const fs::path path = FolderOf(stream) / FileNameOf(window.window.number());
  File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0 && errno != ENOENT) return ErrnoStatus(errno, "open " + path.string());
  if (file.fd() < 0 && access(FolderOf(stream).c_str(), F_OK) != 0) {
    return FolderIsAway(FolderOf(stream));
  }
  std::vector<char> buffer(kRowsBuffer);
  for (uint64_t at = 0; at < window.bytes;) {
    size_t wanted = std::min<uint64_t>(buffer.size(), window.bytes - at);
    size_t got = 0;
    if (file.fd() >= 0) {
      ATTUNE_ASSIGN_OR_RETURN(got, ReadAt(file.fd(), buffer.data(), wanted, at, path));
    }
    if (got == 0) {
      return DataLoss(MissingRows(path, at, window.bytes));
    }
    at += got;
    ATTUNE_RETURN_IF_ERROR(take(std::string_view(buffer.data(), got)));
  }
  return Status();
}

void ObservationStore::RemoveRows(const StreamRecord& stream, uint64_t window) {
  RemoveRowsAt(FolderOf(stream) / FileNameOf(window));
}

void ObservationStore::RemoveStream(const StreamRecord& stream) {
  RemoveRowsAt(FolderOf(stream));
  std::error_code error;
  fs::remove(FolderOf(stream).parent_path(), error);  // only when it is empty
}

}  // namespace attune::drift
