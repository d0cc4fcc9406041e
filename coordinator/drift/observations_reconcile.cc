// What a start finds of rows, held against what was committed.

#include <map>

#include "common/log/log.h"
#include "coordinator/drift/live_files.h"
#include "coordinator/drift/observations.h"

namespace attune::drift {
namespace fs = std::filesystem;

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
  for (const fs::path& folder : EntriesOf(root_)) {
    auto stream = streams.find(folder.filename().string());
    if (stream == streams.end()) {
      RemoveRowsAt(folder);
      continue;
    }
    for (const fs::path& of_incarnation : EntriesOf(folder)) {
      if (of_incarnation == FolderOf(stream->second)) {
        if (stream->second.unreadable) continue;  // restored, it has them again
        Status status = ReconcileStream(of_incarnation, stream->second);
        if (!status.ok()) {
          spdlog::error("stream '{}': {}", stream->first, status.message());
        }
      } else {
        RemoveRowsAt(of_incarnation);
      }
    }
  }
  return Status();
}

Status ObservationStore::ReconcileStream(const fs::path& folder, const StreamRecord& stream) {
  for (const fs::path& path : EntriesOf(folder)) {
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
      RemoveRowsAt(path);
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
