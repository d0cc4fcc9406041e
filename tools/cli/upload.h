#pragma once

// Files sent to the coordinator as a header, chunks and an end, all of it again when it was away.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/cli/live.h"
#include "tools/cli/session.h"

namespace attune::cli {

inline constexpr size_t kUploadChunk = 512 << 10;
inline constexpr std::chrono::hours kUploadDeadline{24};

// kNotFound, or kInvalidArgument for a folder; "-" is standard input.
inline Status CheckUploadFiles(const std::vector<std::string>& files) {
  namespace fs = std::filesystem;
  for (const std::string& file : files) {
    std::error_code error;
    if (file == "-") continue;
    if (!fs::exists(file, error)) return NotFound("there is no file " + file);
    if (fs::is_directory(file, error)) {
      return InvalidArgument(file + " is a folder: name its files, e.g. " + file + "/*.jsonl");
    }
  }
  return Status();
}

// Request has a header, chunks (file, data) and an end (bytes).
template <typename Request, typename Response>
class FileUpload {
 public:
  using Open =
      std::function<std::unique_ptr<grpc::ClientWriter<Request>>(grpc::ClientContext*, Response*)>;
  // verb: "importing", for progress; after: what the coordinator does when it has all,
  // "checking and splitting". files outlive the object.
  FileUpload(Session* session, const std::vector<std::string>& files, std::string verb,
             std::string after, Open open)
      : session_(session),
        files_(files),
        verb_(std::move(verb)),
        after_(verb_ + ": " + std::move(after)),
        open_(std::move(open)),
        live_(&session->io(), session->quiet()) {
    for (const std::string& file : files_) {
      std::error_code error;
      total_ += file == "-" ? 0 : static_cast<double>(std::filesystem::file_size(file, error));
    }
  }

  // header has a request id, so that sending all of it again is safe, for as long as --timeout has
  // it; standard input cannot be read again.
  Result<Response> Send(Client* client, const Request& header) {
    const bool repeatable = std::find(files_.begin(), files_.end(), "-") == files_.end();
    Backoff backoff(1);
    std::chrono::milliseconds waited{0};  // between attempts; an attempt itself may take hours
    for (;;) {
      Response response;
      Status local;
      grpc::Status status = SendOnce(client, header, &response, &local);
      if (!local.ok()) return local;
      if (status.ok()) return response;
      const std::chrono::milliseconds wait = backoff.Next();
      const bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE && repeatable &&
                         waited + wait < client->timeout();
      if (!again) return client->Explain(status);
      // It may also be there and say that another one came first.
      if (waited.count() == 0) {
        session_->Say(
            (status.error_details().empty() ? "coordinator away" : status.error_message()) +
            ", retrying");
      }
      std::this_thread::sleep_for(wait);
      waited += wait;
    }
  }

 private:
  grpc::Status SendOnce(Client* client, const Request& header, Response* response, Status* local) {
    sent_ = 0;
    started_ = session_->io().clock->Monotonic();
    auto context = client->NewContext(kUploadDeadline);
    auto writer = open_(context.get(), response);
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
      Request end;
      end.mutable_end()->set_bytes(sent_);
      going = writer->Write(end);
      live_.Update(after_ + " ...", after_);
    }
    if (going) writer->WritesDone();
    grpc::Status status = writer->Finish();
    live_.Clear();
    return status;
  }

  Status SendFile(const std::string& file, grpc::ClientWriter<Request>* writer, bool* going) {
    std::ifstream opened;
    std::istream* in = session_->io().in;
    if (file != "-") {
      opened.open(file, std::ios::binary);
      if (!opened) return ErrnoStatus(errno, "cannot read " + file);
      in = &opened;
    }
    Request part;
    part.mutable_chunk()->set_file(file == "-" ? "standard input" : file);
    std::string buffer(kUploadChunk, '\0');
    // An empty file is sent, too, so that it is known of.
    for (bool first = true; *going && *in; first = false) {
      in->read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      const size_t size = static_cast<size_t>(in->gcount());
      if (size == 0 && !first) break;
      part.mutable_chunk()->set_data(buffer.data(), size);
      *going = writer->Write(part);
      sent_ += size;
      ShowBytes(&live_, verb_, static_cast<double>(sent_), total_,
                session_->io().clock->Monotonic() - started_);
    }
    return in->bad() ? Internal("reading " + file + " failed") : Status();
  }

  Session* const session_;
  const std::vector<std::string>& files_;
  const std::string verb_, after_;
  const Open open_;
  LiveLine live_;
  double total_ = 0;
  uint64_t sent_ = 0;
  std::chrono::steady_clock::time_point started_{};
};

}  // namespace attune::cli
