#include <filesystem>
#include <iterator>

#include "common/base/files.h"
#include "common/spec/json.h"
#include "common/spec/stream_keys.h"
#include "common/spec/stream_spec.h"
#include "common/yaml/document.h"
#include "tools/cli/drift_view.h"
#include "tools/cli/handlers.h"
#include "tools/cli/upload.h"

namespace attune::cli {
namespace {

constexpr uint32_t kPage = 200;
constexpr int kRejectedShown = 5;

const Parameter kStream{.name = "STREAM",
                        .doc = "The stream's name.",
                        .required = true,
                        .completes = Completes::kStream};

const Parameter kWindow{
    .name = "WINDOW", .doc = "The window's number.", .required = true, .type = ValueType::kWhole};

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

void Print(Session& session, const v1::Stream& stream) {
  session.printer().Object(spec::ToJson(stream), stream.spec().name(),
                           StreamCard(stream, {}, View(session)));
}

Result<v1::StreamSpec> ReadSpec(Session& session, const std::string& file) {
  if (file == "-") {
    std::string text((std::istreambuf_iterator<char>(*session.io().in)),
                     std::istreambuf_iterator<char>());
    return spec::ParseStreamSpec(std::move(text), "standard input");
  }
  auto text = ReadFile(file, yaml::kMaxBytes);
  if (!text.ok()) {
    return text.status().code() == StatusCode::kNotFound ? NotFound("there is no file " + file)
                                                         : text.status();
  }
  const auto folder = std::filesystem::absolute(file).parent_path();
  return spec::ParseStreamSpec(*std::move(text), file, folder.string());
}

// The last of a stream's windows, oldest first.
Result<std::vector<v1::Window>> LastWindows(Client* client, const v1::Stream& stream,
                                            uint64_t limit) {
  std::vector<v1::Window> windows;
  v1::ListWindowsRequest request;
  request.set_stream(stream.spec().name());
  request.set_after(stream.windows() > limit ? stream.windows() - limit : 0);
  request.set_page_size(kPage);
  for (bool more = limit > 0; more;) {
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListWindowsResponse page,
        client->Call(client->drift(), &v1::DriftService::Stub::ListWindows, request));
    for (v1::Window& window : *page.mutable_windows()) {
      request.set_after(window.number());
      windows.push_back(std::move(window));
    }
    more = page.more() && windows.size() < limit;
  }
  return windows;
}

}  // namespace

Result<int> RunDriftApply(Session& session, const Arguments& arguments) {
  v1::ApplyStreamRequest request;
  ATTUNE_ASSIGN_OR_RETURN(*request.mutable_spec(), ReadSpec(session, arguments.Get("FILE")));
  request.set_request_id(NewId("req"));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(
      v1::Stream stream,
      client->Call(client->drift(), &v1::DriftService::Stub::ApplyStream, request));
  Print(session, stream);
  for (const std::string& what : stream.missing()) session.Say("warning: " + what);
  return kExitOk;
}

Result<int> RunDriftObserve(Session& session, const Arguments& arguments) {
  const auto& files = arguments.All("FILES");
  ATTUNE_RETURN_IF_ERROR(CheckUploadFiles(files));
  v1::ObserveRequest header;
  header.mutable_header()->set_request_id(NewId("req"));
  header.mutable_header()->set_name(arguments.Get("STREAM"));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  FileUpload<v1::ObserveRequest, v1::ObserveResponse> upload(
      &session, files, "observing", "checking and storing",
      [client](grpc::ClientContext* context, v1::ObserveResponse* response) {
        return client->drift().Observe(context, response);
      });
  ATTUNE_ASSIGN_OR_RETURN(v1::ObserveResponse response, upload.Send(client, header));
  std::string text = std::to_string(response.accepted()) + " rows taken, " +
                     std::to_string(response.labelled()) + " of them with an answer; " +
                     std::to_string(response.waiting()) + " wait in the open window\n";
  session.printer().Object(spec::ToJson(response), arguments.Get("STREAM"), text);
  if (response.rejected() > 0) {
    session.Say(std::to_string(response.rejected()) + " rows rejected:");
    for (int i = 0; i < std::min(response.rejected_rows_size(), kRejectedShown); ++i) {
      session.Say("  " + response.rejected_rows(i));
    }
  }
  return kExitOk;
}

Result<int> RunDriftList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListStreamsRequest request;
  const size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<v1::Stream> streams;
  do {
    request.set_page_size(kPage);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListStreamsResponse page,
        client->Call(client->drift(), &v1::DriftService::Stub::ListStreams, request));
    for (const v1::Stream& stream : page.streams()) {
      if (streams.size() < limit) streams.push_back(stream);
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && streams.size() < limit);
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Stream& stream : streams) {
    items.push_back(spec::ToJson(stream));
    names.push_back(stream.spec().name());
  }
  session.printer().List(items, names, StreamTable(streams, session.io().clock->Now()),
                         "no streams yet; make one with `attune drift apply FILE`");
  return kExitOk;
}

Result<int> RunDriftShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetStreamRequest request;
  request.set_name(arguments.Get("STREAM"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::Stream stream,
      client->Call(client->drift(), &v1::DriftService::Stub::GetStream, request));
  if (arguments.Has("--spec")) {
    session.printer().Object(spec::ToJson(stream.spec()), stream.spec().name(),
                             spec::ToYaml(stream.spec()));
    return kExitOk;
  }
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Window> windows,
                          LastWindows(client, stream, arguments.Whole("--windows")));
  nlohmann::ordered_json json = spec::ToJson(stream);
  json["history"] = nlohmann::ordered_json::array();
  for (const v1::Window& window : windows) json["history"].push_back(spec::ToJson(window));
  session.printer().Object(json, stream.spec().name(), StreamCard(stream, windows, View(session)));
  return kExitOk;
}

Result<int> RunDriftDelete(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::DeleteStreamRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("STREAM"));
  auto deleted = client->Call(client->drift(), &v1::DriftService::Stub::DeleteStream, request);
  if (!deleted.ok()) return deleted.status();
  session.Say("deleted stream " + request.name() + "; its windows stay as data set versions");
  return kExitOk;
}

Result<int> RunDriftExplain(Session& session, const Arguments&) {
  session.printer().out() << spec::StreamMarkdown();
  return kExitOk;
}

void AddDriftCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "drift",
       .verb = "apply",
       .summary = "make a stream of live data, or change it",
       .details = "docs/stream-spec.md and `attune drift explain` describe the keys; only name and "
                  "model are "
                  "required. Each window becomes a version of the data set of the stream's name.",
       .arguments = {{.name = "FILE",
                      .doc = "A stream in YAML; - is standard input.",
                      .required = true,
                      .completes = Completes::kFile}},
       .examples = {"attune drift apply live-docs.yaml"},
       .run = RunDriftApply});
  commands->push_back(
      {.noun = "drift",
       .verb = "observe",
       .summary = "add rows of live data to a stream",
       .details = "Rows as `attune dataset import` takes them; those without an answer count for "
                  "drift, but nothing is learned from them. All rows are taken or none.",
       .arguments = {kStream,
                     {.name = "FILES",
                      .doc = "JSONL files; - is standard input.",
                      .required = true,
                      .repeated = true,
                      .completes = Completes::kFile}},
       .examples = {"attune drift observe live-docs answers.jsonl",
                    "tail -n 100 answers.jsonl | attune drift observe live-docs -"},
       .run = RunDriftObserve});
  commands->push_back({.noun = "drift",
                       .verb = "list",
                       .summary = "list streams",
                       .options = {{.name = "--limit",
                                    .value = "N",
                                    .doc = "At most so many.",
                                    .type = ValueType::kWhole,
                                    .fallback = "1000"}},
                       .run = RunDriftList});
  commands->push_back(
      {.noun = "drift",
       .verb = "show",
       .summary = "show a stream: its windows, detectors and what is new",
       .details = "Plots the effect of the detectors that saw most, lists the newest windows, and "
                  "of the last measured one every detector and the examples that are unlike the "
                  "reference. With -o json the windows are in `history`.",
       .arguments = {kStream},
       .options = {{.name = "--windows",
                    .value = "N",
                    .doc = "Look back on so many.",
                    .type = ValueType::kWhole,
                    .fallback = "50"},
                   {.name = "--spec", .doc = "Its spec as YAML, with every default."}},
       .run = RunDriftShow});
  commands->push_back({.noun = "drift",
                       .verb = "close",
                       .summary = "close a stream's open window now",
                       .details = "With --wait the command ends when the newest closed window is "
                                  "measured, or fails (exit 1) with it; one that is left "
                                  "unmeasured, as it is too small or has no reference, is no "
                                  "failure.",
                       .arguments = {kStream},
                       .options = {{.name = "--wait",
                                    .doc = "Wait until the window just closed is measured; when "
                                           "the open one was empty, the one before it."},
                                   {.name = "--wait-limit",
                                    .value = "TIME",
                                    .doc = "Of --wait; exit 6 after that. The window goes on.",
                                    .type = ValueType::kDuration,
                                    .fallback = "1h"}},
                       .examples = {"attune drift close live-docs --wait"},
                       .run = RunDriftClose});
  commands->push_back(
      {.noun = "drift",
       .verb = "exclude",
       .summary = "leave a window out of training",
       .details = "No update that chooses its windows from now on trains on it, is started by it, "
                  "or watches a promotion on it; one that has chosen already goes on (`attune "
                  "schedule cancel` stops it). It stays a data set version, and drift is measured "
                  "all the same. Needs the role promoter.",
       .arguments = {kStream, kWindow},
       .options = {{.name = "--reason", .value = "TEXT", .doc = "Why, for the record."}},
       .examples = {"attune drift exclude live-docs 7 --reason \"answers of the broken bot\""},
       .run = RunDriftExclude});
  commands->push_back({.noun = "drift",
                       .verb = "include",
                       .summary = "allow a window in training again",
                       .details = "The next update trains on it, unless the champion was trained "
                                  "on a later window by then. Needs the role promoter.",
                       .arguments = {kStream, kWindow},
                       .run = RunDriftInclude});
  commands->push_back({.noun = "drift",
                       .verb = "delete",
                       .summary = "delete a stream; its windows stay as data set versions",
                       .details = "Rows of the open window are lost.",
                       .arguments = {kStream},
                       .run = RunDriftDelete});
  commands->push_back({.noun = "drift",
                       .verb = "explain",
                       .summary = "print the reference of stream specs",
                       .run = RunDriftExplain});
}

}  // namespace attune::cli
