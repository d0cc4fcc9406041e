#include <filesystem>
#include <fstream>
#include <thread>

#include "common/spec/json.h"
#include "tools/cli/dataset_view.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/live.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunk = 512 << 10;
constexpr std::chrono::hours kImportDeadline{24};

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

// One attempt to send all the files.
class Upload {
 public:
  Upload(Session* session, Client* client, const std::vector<std::string>& files)
      : session_(session), client_(client), files_(files), live_(&session->io(), session->quiet()) {
    for (const std::string& file : files_) {
      std::error_code error;
      total_ += file == "-" ? 0 : static_cast<double>(fs::file_size(file, error));
    }
  }

  grpc::Status Run(const v1::ImportDatasetRequest& header, v1::DatasetVersion* version,
                   Status* local) {
    sent_ = 0;
    started_ = session_->io().clock->Monotonic();
    auto context = client_->NewContext(kImportDeadline);
    auto writer = client_->datasets().ImportDataset(context.get(), version);
    bool going = writer->Write(header);
    for (const std::string& file : files_) {
      if (!going) break;
      *local = SendFile(file, writer.get(), &going);
      if (!local->ok()) {
        context->TryCancel();
        return writer->Finish();
      }
    }
    if (going) {
      v1::ImportDatasetRequest end;
      end.mutable_end()->set_bytes(sent_);
      going = writer->Write(end);
      live_.Update("importing: checking and splitting ...", "importing: checking and splitting");
    }
    if (going) writer->WritesDone();
    grpc::Status status = writer->Finish();
    live_.Clear();
    return status;
  }

 private:
  Status SendFile(const std::string& file, grpc::ClientWriter<v1::ImportDatasetRequest>* writer,
                  bool* going) {
    std::ifstream opened;
    std::istream* in = session_->io().in;
    if (file != "-") {
      opened.open(file, std::ios::binary);
      if (!opened) return ErrnoStatus(errno, "cannot read " + file);
      in = &opened;
    }
    v1::ImportDatasetRequest part;
    part.mutable_chunk()->set_file(file == "-" ? "standard input" : file);
    std::string buffer(kChunk, '\0');
    while (*going && *in) {
      in->read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      size_t size = static_cast<size_t>(in->gcount());
      if (size == 0) break;
      part.mutable_chunk()->set_data(buffer.data(), size);
      *going = writer->Write(part);
      sent_ += size;
      ShowProgress();
    }
    if (in->bad()) return Internal("reading " + file + " failed");
    return Status();
  }

  void ShowProgress() {
    ShowBytes(&live_, "importing", static_cast<double>(sent_), total_,
              session_->io().clock->Monotonic() - started_);
  }

  Session* const session_;
  Client* const client_;
  const std::vector<std::string>& files_;
  LiveLine live_;
  double total_ = 0;
  uint64_t sent_ = 0;
  std::chrono::steady_clock::time_point started_{};
};

Status CheckFiles(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::error_code error;
    if (file == "-") continue;
    if (!fs::exists(file, error)) return NotFound("there is no file " + file);
    if (fs::is_directory(file, error))
      return InvalidArgument(file + " is a folder: name its files, e.g. " + file + "/*.jsonl");
  }
  return Status();
}

}  // namespace

Result<int> RunDatasetImport(Session& session, const Arguments& arguments) {
  const auto& files = arguments.All("FILES");
  ATTUNE_RETURN_IF_ERROR(CheckFiles(files));
  v1::ImportDatasetRequest header;
  header.mutable_header()->set_request_id(NewId("req"));
  header.mutable_header()->set_name(arguments.Get("NAME"));
  if (arguments.Has("--validation")) {
    double share = arguments.Number("--validation");
    if (!(share >= 0 && share <= 0.9))
      return InvalidArgument("--validation must be a number from 0 to 0.9");
    header.mutable_header()->set_validation_fraction(share);
  }
  header.mutable_header()->set_append(arguments.Has("--append"));
  header.mutable_header()->set_allow_unlabelled(arguments.Has("--allow-unlabelled"));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  bool repeatable = std::find(files.begin(), files.end(), "-") == files.end();
  Upload upload(&session, client, files);
  Backoff backoff(1);
  v1::DatasetVersion version;
  std::chrono::milliseconds waited{0};  // between attempts; an attempt itself may take hours
  for (;;) {
    Status local;
    grpc::Status status = upload.Run(header, &version, &local);
    if (!local.ok()) return local;
    if (status.ok()) break;
    const std::chrono::milliseconds wait = backoff.Next();
    const bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE && repeatable &&
                       waited + wait < client->timeout();
    if (!again) return client->Explain(status);
    // Or another append came first, which the coordinator says.
    if (waited.count() == 0) {
      session.Say((status.error_details().empty() ? "coordinator away" : status.error_message()) +
                  ", retrying");
    }
    std::this_thread::sleep_for(wait);
    waited += wait;
  }
  session.printer().Object(spec::ToJson(version), DatasetReference(version),
                           DatasetCard(version, View(session)));
  return kExitOk;
}

Result<int> RunDatasetList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListDatasetsRequest request;
  request.set_all_versions(arguments.Has("--all-versions"));
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{.header = "DATASET", .shrinks = true},
               {.header = "TRAIN", .right = true},
               {.header = "VALIDATION", .right = true},
               {.header = "SHAPE", .optional = true},
               {.header = "SIZE", .right = true, .optional = true},
               {.header = "REJECTED", .right = true, .optional = true},
               {.header = "AGE", .right = true, .optional = true}});
  do {
    request.set_page_size(200);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListDatasetsResponse page,
        client->Call(client->datasets(), &v1::DatasetService::Stub::ListDatasets, request));
    for (const v1::DatasetVersion& dataset : page.datasets()) {
      if (items.size() >= limit) break;
      items.push_back(spec::ToJson(dataset));
      names.push_back(DatasetReference(dataset));
      table.Add({DatasetReference(dataset), std::to_string(ExamplesOf(dataset, "train")),
                 std::to_string(ExamplesOf(dataset, "validation")), dataset.shape(),
                 FormatBytes(static_cast<double>(dataset.bytes())),
                 std::to_string(dataset.rejected()),
                 FormatAge(dataset.created(), session.io().clock->Now())});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && items.size() < limit);
  session.printer().List(items, names, table,
                         "no data sets yet; make one with `attune dataset import NAME FILES...`");
  return kExitOk;
}

Result<int> RunDatasetShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetDatasetRequest request;
  request.set_name(arguments.Get("DATASET"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::DatasetVersion dataset,
      client->Call(client->datasets(), &v1::DatasetService::Stub::GetDataset, request));
  session.printer().Object(spec::ToJson(dataset), DatasetReference(dataset),
                           DatasetCard(dataset, View(session)));
  return kExitOk;
}

}  // namespace attune::cli
