// From a window that is full, or old enough, to a data set version.

#include "common/base/text.h"
#include "common/log/log.h"
#include "coordinator/drift/due.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/store/events.h"

namespace attune::drift {
namespace {

constexpr int kEventsKept = 200;

void AppendWindowEvent(Transaction& transaction, const char* type, const WindowRecord& window,
                       const std::string& message) {
  const std::string& name = window.window.stream();
  transaction.AppendEvent("stream", name, type,
                          "window " + std::to_string(window.window.number()) + ": " + message,
                          window.window.SerializeAsString());
  PruneEvents(transaction, "stream", name, type, kEventsKept);
}

Status ShutsDown() {
  return Unavailable("the coordinator is shutting down: try again");
}

void CountExamples(const v1::DatasetVersion& dataset, v1::Window* window) {
  uint64_t examples = 0, unlabelled = 0;
  for (const auto& [split, count] : dataset.examples()) {
    examples += count;
    if (split == "unlabelled") unlabelled += count;
  }
  window->set_examples(examples);
  window->set_labelled(examples - unlabelled);
}

}  // namespace

Status Monitor::SetTimesBackIfAhead(const StreamRecord& stream) {
  const std::string& name = stream.stream.spec().name();
  bool ahead = false;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    ahead = HasTimesAhead(transaction, name);
    return Status();
  }));
  if (!ahead) return Status();
  spdlog::warn("stream '{}': the clock was set back; windows of the future began now", name);
  return ports_.database->Write([&](Transaction& transaction) {
    SetTimesBack(transaction, name);
    return Status();
  });
}

Status Monitor::CloseDue(const StreamRecord& stream) {
  const std::string& name = stream.stream.spec().name();
  bool due = false;
  auto is_due = [&](Transaction& transaction, std::optional<WindowRecord>* open) {
    *open = FindOpenWindow(transaction, name);
    return open->has_value() &&
           !DueReason(**open, stream.stream.spec().window(), transaction.now()).empty();
  };
  std::optional<WindowRecord> open;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    due = is_due(transaction, &open);
    return Status();
  }));
  if (!due) return Status();
  return ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now, FindStream(transaction, name, stream.incarnation));
    if (!is_due(transaction, &open)) return Status();
    MarkFull(&*open, transaction.now());
    SaveWindow(transaction, *open);
    now.stream.set_windows(now.stream.windows() + 1);
    SaveStream(transaction, now);
    return Status();
  });
}

bool Monitor::BeginClosing(const std::string& stream, bool wait) {
  MutexLock lock(&closing_mutex_);
  while (wait && closing_.contains(stream)) closing_ended_.Wait(&closing_mutex_);
  return closing_.insert(stream).second;
}

void Monitor::EndClosing(const std::string& stream) {
  MutexLock lock(&closing_mutex_);
  closing_.erase(stream);
  closing_ended_.NotifyAll();
}

Status Monitor::MakeDatasets(const StreamRecord& stream, bool wait) {
  const std::string& name = stream.stream.spec().name();
  if (!BeginClosing(name, wait)) return Status();
  const Status made = MakeFullDatasets(stream);
  EndClosing(name);
  return made;
}

Status Monitor::MakeFullDatasets(const StreamRecord& stream) {
  while (!stopping()) {
    std::optional<WindowRecord> window;
    ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
      window = FirstWindow(transaction, stream.stream.spec().name(), Phase::kFull, Phase::kFull);
      return Status();
    }));
    if (!window) return Status();
    if (window->unreadable) {
      ATTUNE_RETURN_IF_ERROR(BeginAnew(stream, *std::move(window)));
      continue;
    }
    ATTUNE_RETURN_IF_ERROR(MakeDataset(stream, *std::move(window)));
  }
  return ShutsDown();
}

Result<v1::DatasetVersion> Monitor::Import(const StreamRecord& stream, const WindowRecord& window) {
  v1::ImportDatasetRequest::Header header;
  header.set_request_id(WindowRequest(stream, window.window.number()));
  header.set_name(window.window.stream());
  header.set_allow_unlabelled(true);
  header.set_validation_fraction(stream.stream.spec().window().validation_fraction());
  header.mutable_spec()->set_format("jsonl");
  // They were taken when they were observed, and what was taken counts for drift.
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<datasets::Import> import,
                          ports_.catalog->StartImport(header, datasets::LikelyAnswers::kIgnored));
  const std::string source = kWindowSource + std::to_string(window.window.number());
  if (!import->already_done()) {
    ATTUNE_RETURN_IF_ERROR(
        ports_.observations->ReadRows(stream, window, [&](std::string_view bytes) {
          return stopping() ? ShutsDown() : import->Append(source, bytes);
        }));
  }
  return import->Finish();
}

Status Monitor::MakeDataset(const StreamRecord& stream, WindowRecord window) {
  Result<v1::DatasetVersion> dataset = Import(stream, window);
  if (!dataset.ok()) {
    const StatusCode code = dataset.status().code();
    // kAlreadyExists: the same request with another content, as validation_fraction has changed.
    const bool lasting = code == StatusCode::kDataLoss || code == StatusCode::kInvalidArgument ||
                         code == StatusCode::kAlreadyExists;
    if (!lasting) return dataset.status();
    window.window.set_examples(0);
    window.window.set_labelled(0);
    return FinishWindow(stream, std::move(window), "failed",
                        "its rows are no data set version: " + dataset.status().message());
  }
  ATTUNE_RETURN_IF_ERROR(Fault("imported"));
  window.phase = Phase::kClosed;
  window.window.set_dataset(dataset->name() + "@" + std::to_string(dataset->version()));
  CountExamples(*dataset, &window.window);
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    SaveWindow(transaction, window);
    AppendWindowEvent(
        transaction, "window_closed", window,
        CountOf(window.window.examples(), "example") + ", now data set " + window.window.dataset());
    return Status();
  }));
  ATTUNE_RETURN_IF_ERROR(Fault("closed"));
  ports_.observations->RemoveRows(stream, window.window.number());
  return Status();
}

Status Monitor::BeginAnew(const StreamRecord& stream, WindowRecord window) {
  const std::string message = "its record in the database could not be read: it is made anew";
  window.profile_key.clear();
  window.window.clear_reason();
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    MarkFull(&window, transaction.now());
    SaveWindow(transaction, window);
    AppendWindowEvent(transaction, "window_made_anew", window, message);
    return Status();
  }));
  spdlog::error("window {} of stream '{}': {}", window.window.number(), window.window.stream(),
                message);
  return Status();
}

Status Monitor::FinishWindow(const StreamRecord& stream, WindowRecord window,
                             const std::string& state, const std::string& reason,
                             bool no_reference) {
  window.phase = Phase::kDone;
  window.window.set_state(state);
  window.window.set_reason(reason);
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    SaveWindow(transaction, window);
    if (no_reference) {
      now.stream.set_state("no reference");
      now.stream.set_reason(reason);
      now.stream.clear_profile();
      now.stream.clear_alarm_since();
      SaveStream(transaction, now);
    }
    AppendWindowEvent(transaction, "drift_window", window, state + ", " + reason);
    return Status();
  }));
  if (ports_.on_window) ports_.on_window(state);
  if (state == "failed") {
    spdlog::warn("window {} of stream '{}' failed: {}", window.window.number(),
                 window.window.stream(), reason);
  }
  return Status();
}

Status Monitor::SaveMeasured(const StreamRecord& stream, WindowRecord window,
                             const DetectOptions& options) {
  v1::Window& seen = window.window;
  window.phase = Phase::kDone;
  seen.set_state("measured");
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, seen.stream(), stream.incarnation));
    ports_.detectors.judge(MeasuredBefore(transaction, seen.stream(), window.profile_key,
                                          seen.number(), kWindowsBefore),
                           options, &seen);
    SaveWindow(transaction, window);
    const bool was_alarm = now.stream.state() == "alarm";
    now.stream.set_state(seen.alarm() ? "alarm" : seen.drifted() ? "drifting" : "stable");
    now.stream.set_reason(seen.reason());
    now.stream.set_profile(seen.profile());
    if (!seen.alarm()) {
      now.stream.clear_alarm_since();
    } else if (!was_alarm) {
      *now.stream.mutable_alarm_since() = seen.closed();
    }
    SaveStream(transaction, now);
    AppendWindowEvent(transaction, "drift_window", window, seen.reason());
    if (seen.alarm() && !was_alarm) {
      AppendWindowEvent(transaction, "drift_alarm", window, seen.reason());
    }
    return Status();
  }));
  if (ports_.on_window) ports_.on_window("measured");
  spdlog::info("window {} of stream '{}': {}", seen.number(), seen.stream(), seen.reason());
  return Status();
}

}  // namespace attune::drift
