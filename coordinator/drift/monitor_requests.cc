// What users ask of streams.

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "common/spec/stream_spec.h"
#include "coordinator/drift/due.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/store/requests.h"

namespace attune::drift {
namespace {

constexpr size_t kReasonBytesMax = 1000;

// A line that ends with who said it.
std::string ReasonOf(const v1::SetWindowExcludedRequest& request, const std::string& actor) {
  std::string reason = Shorten(ToValidUtf8(request.reason()), kReasonBytesMax);
  std::replace_if(
      reason.begin(), reason.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return reason.empty() ? "by " + actor : reason + " (by " + actor + ")";
}

// kNotFound, or kFailedPrecondition for the one that still takes rows.
Result<v1::Window> FindClosed(Transaction& transaction, const StreamRecord& stream,
                              uint64_t number) {
  const std::string& name = stream.stream.spec().name();
  const std::string what = "window " + std::to_string(number);
  std::optional<WindowRecord> found = FindWindow(transaction, name, number);
  if (found && found->phase != Phase::kOpen) return found->window;
  if (found) {
    return FailedPrecondition(what + " of stream '" + name +
                              "' still takes rows: close it first, by `attune drift close " + name +
                              "`");
  }
  return NotFound("stream '" + name + "' has no " + what + ": it has " +
                  CountOf(stream.stream.windows(), "closed window"));
}

Result<std::optional<v1::Stream>> FindAnswer(Transaction& transaction, const std::string& id,
                                             const char* method, const std::string& content) {
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> bytes,
                          FindRequest(transaction, id, method, content));
  if (!bytes) return std::optional<v1::Stream>();
  v1::Stream stream;
  if (!stream.ParseFromString(*bytes)) return DataLoss("a stored answer cannot be read");
  return std::optional<v1::Stream>(std::move(stream));
}

// The data set of a stream's name is the stream's alone.
Status CheckDatasetName(datasets::Catalog* catalog, const std::string& name) {
  Result<v1::DatasetVersion> dataset = catalog->Get(name);
  if (!dataset.ok()) {
    return dataset.status().code() == StatusCode::kNotFound ? Status() : dataset.status();
  }
  if (dataset->sources_size() > 0 && dataset->sources(0).starts_with(kWindowSource)) {
    return Status();  // of an earlier stream of the name
  }
  return AlreadyExists("there is a data set '" + name +
                       "', and a stream's windows become versions of the data set of its name: "
                       "choose another name");
}

void Change(StreamRecord* record, const v1::StreamSpec& spec) {
  const bool same = record->stream.spec().model() == spec.model() &&
                    record->stream.spec().reference() == spec.reference();
  *record->stream.mutable_spec() = spec;
  if (same) return;
  record->stream.set_state("new");
  record->stream.set_reason("no window was measured since the reference changed");
  record->stream.clear_profile();
  record->stream.clear_alarm_since();
}

}  // namespace

std::vector<std::string> Monitor::MissingOf(const v1::StreamSpec& spec) {
  std::vector<std::string> missing;
  const auto note = [&](const Status& status, const std::string& until) {
    if (status.code() == StatusCode::kNotFound) missing.push_back(status.message() + until);
  };
  note(ports_.find_model(spec.model()).status(), ": until there is, no window is measured");
  if (!spec.reference().empty()) {
    note(ports_.catalog->Get(spec.reference()).status(), ": until there is, no window is measured");
  }
  // Not the folders: one may hang, and this is a call's own thread. The first look names them.
  return missing;
}

Result<v1::Stream> Monitor::Apply(const v1::ApplyStreamRequest& request) {
  constexpr const char* kMethod = "ApplyStream";
  v1::StreamSpec spec = request.spec();
  spec::FillDefaults(&spec);
  ATTUNE_RETURN_IF_ERROR(spec::ValidateStreamSpec(spec));
  const std::string content = spec.SerializeAsString();
  bool known = true;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    known = FindStream(transaction, spec.name()).ok();
    return Status();
  }));
  if (!known) ATTUNE_RETURN_IF_ERROR(CheckDatasetName(ports_.catalog, spec.name()));
  std::optional<v1::Stream> answer;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(answer,
                            FindAnswer(transaction, request.request_id(), kMethod, content));
    if (answer) return Status();
    Result<StreamRecord> found = FindStream(transaction, spec.name());
    if (!found.ok() && found.status().code() != StatusCode::kNotFound) return found.status();
    StreamRecord record;
    if (found.ok()) {
      record = *std::move(found);
      Change(&record, spec);
    } else {
      record.incarnation = NewId("stream");
      *record.stream.mutable_spec() = spec;
      *record.stream.mutable_created() =
          google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(transaction.now()));
      record.stream.set_state("new");
      record.stream.set_reason("no window was measured yet");
    }
    SaveStream(transaction, record);
    transaction.AppendEvent("stream", spec.name(), found.ok() ? "changed" : "created",
                            "model " + spec.model(), record.stream.SerializeAsString());
    answer = record.stream;
    answer->set_waiting(CountWaiting(transaction, spec.name()));
    SaveRequest(transaction, request.request_id(), kMethod, content, answer->SerializeAsString());
    return Status();
  }));
  for (const std::string& what : MissingOf(spec)) answer->add_missing(what);
  return *answer;
}

Result<v1::Stream> Monitor::Get(const std::string& name) {
  v1::Stream stream;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord record, FindStream(transaction, name));
    stream = record.stream;
    stream.set_waiting(CountWaiting(transaction, name));
    return Status();
  }));
  const std::map<std::string, std::string> problems = AllProblems();
  auto problem = problems.find(name);
  if (problem != problems.end()) stream.set_problem(problem->second);
  return stream;
}

Result<v1::ListStreamsResponse> Monitor::List(const v1::ListStreamsRequest& request) {
  const uint32_t limit =
      request.page_size() == 0 ? kPageSizeDefault : std::min(request.page_size(), kPageSizeMax);
  v1::ListStreamsResponse response;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    for (const StreamRecord& record : LoadStreams(transaction, request.page_token(), limit + 1)) {
      if (response.streams_size() == static_cast<int>(limit)) {
        response.set_next_page_token(response.streams(response.streams_size() - 1).spec().name());
        break;
      }
      *response.add_streams() = record.stream;
      response.mutable_streams()->rbegin()->set_waiting(
          CountWaiting(transaction, record.stream.spec().name()));
    }
    return Status();
  }));
  const std::map<std::string, std::string> problems = AllProblems();
  for (v1::Stream& stream : *response.mutable_streams()) {
    auto problem = problems.find(stream.spec().name());
    if (problem != problems.end()) stream.set_problem(problem->second);
  }
  return response;
}

Status Monitor::Delete(const v1::DeleteStreamRequest& request) {
  constexpr const char* kMethod = "DeleteStream";
  std::optional<StreamRecord> deleted;
  std::optional<WindowRecord> embedding;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        std::optional<std::string> earlier,
        FindRequest(transaction, request.request_id(), kMethod, request.name()));
    if (earlier) return Status();
    Result<StreamRecord> found = FindStream(transaction, request.name());
    if (!found.ok() && found.status().code() != StatusCode::kDataLoss) return found.status();
    if (found.ok()) {
      deleted = *std::move(found);
      embedding = FirstWindow(transaction, request.name(), Phase::kEmbedding, Phase::kEmbedding);
    } else {  // damaged, but it has a name
      deleted.emplace();
      deleted->incarnation = FindIncarnation(transaction, request.name()).value_or("");
      deleted->stream.mutable_spec()->set_name(request.name());
    }
    RemoveStream(transaction, request.name());
    SaveRequest(transaction, request.request_id(), kMethod, request.name(), "");
    transaction.AppendEvent("stream", request.name(), "deleted",
                            CountOf(deleted->stream.windows(), "window") + " stay as data sets",
                            "");
    return Status();
  }));
  if (deleted) ports_.observations->RemoveStream(*deleted);
  if (embedding) CancelEmbed(embedding->window.job_id(), "its stream was deleted");
  return Status();
}

Result<std::vector<v1::Window>> Monitor::Windows(const std::string& stream, uint64_t after,
                                                 uint32_t limit) {
  std::vector<v1::Window> windows;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord record, FindStream(transaction, stream));
    windows = LoadWindows(transaction, stream, after, limit);
    return Status();
  }));
  return windows;
}

Result<v1::Stream> Monitor::CloseWindow(const std::string& request_id, const std::string& name) {
  constexpr const char* kMethod = "CloseWindow";
  std::optional<v1::Stream> answer;
  StreamRecord record;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(record, FindStream(transaction, name));
    ATTUNE_ASSIGN_OR_RETURN(answer, FindAnswer(transaction, request_id, kMethod, name));
    if (answer) return Status();
    std::optional<WindowRecord> open = FindOpenWindow(transaction, name);
    if (open && open->rows > 0) {
      MarkFull(&*open, transaction.now());
      SaveWindow(transaction, *open);
      record.stream.set_windows(record.stream.windows() + 1);
      SaveStream(transaction, record);
      transaction.AppendEvent(
          "stream", name, "closed_by_request",
          "window " + std::to_string(open->window.number()) + " with " + CountOf(open->rows, "row"),
          record.stream.SerializeAsString());
    }
    answer = record.stream;
    SaveRequest(transaction, request_id, kMethod, name, answer->SerializeAsString());
    return Status();
  }));
  ATTUNE_RETURN_IF_ERROR(MakeDatasets(record, true));
  return *answer;
}

Result<v1::Window> Monitor::SetWindowExcluded(const v1::SetWindowExcludedRequest& request,
                                              const std::string& actor) {
  constexpr const char* kMethod = "SetWindowExcluded";
  v1::SetWindowExcludedRequest content = request;
  content.clear_request_id();
  const std::string bytes = content.SerializeAsString();
  v1::Window window;
  bool changed = false;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                            FindRequest(transaction, request.request_id(), kMethod, bytes));
    if (earlier) {
      return window.ParseFromString(*earlier) ? Status()
                                              : DataLoss("a stored answer cannot be read");
    }
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord stream, FindStream(transaction, request.stream()));
    ATTUNE_ASSIGN_OR_RETURN(window, FindClosed(transaction, stream, request.number()));
    const std::string reason = ReasonOf(request, actor);
    changed = window.excluded() != request.excluded() ||
              (request.excluded() && window.excluded_reason() != reason);
    if (changed) {
      window.set_excluded(request.excluded());
      window.set_excluded_reason(request.excluded() ? reason : "");
      SetExcluded(transaction, request.stream(), request.number(), window.excluded(),
                  window.excluded_reason());
      transaction.AppendEvent(
          "stream", request.stream(), request.excluded() ? "window_excluded" : "window_included",
          "window " + std::to_string(request.number()) + ": " + reason, window.SerializeAsString());
    }
    SaveRequest(transaction, request.request_id(), kMethod, bytes, window.SerializeAsString());
    return Status();
  }));
  if (changed) {
    spdlog::info("window {} of stream '{}' {} training: {}", request.number(), request.stream(),
                 request.excluded() ? "is excluded from" : "may be used again for",
                 ReasonOf(request, actor));
  }
  return window;
}

}  // namespace attune::drift
