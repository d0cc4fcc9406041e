// The streams of JobService: what each has told already, and what is new.

#include <algorithm>

#include "coordinator/api/job_service.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/store/events.h"

namespace attune {
namespace {

constexpr int kBatch = 200;
constexpr size_t kChunkBytes = 256 << 10;

bool Ended(Transaction& transaction, const std::string& job_id) {
  auto job = jobs::FindJob(transaction, job_id);
  return !job.ok() || jobs::IsFinal(job->state());
}

v1::JobEvent ToMessage(const Event& event) {
  v1::JobEvent message;
  message.set_sequence(static_cast<uint64_t>(event.sequence));
  jobs::SetTimestamp(message.mutable_time(), event.time);
  message.set_type(event.type);
  message.set_message(event.message);
  message.mutable_job()->ParseFromString(event.snapshot);
  return message;
}

// Log files of a job and how far each has been told.
struct LogReader {
  LogStore* logs;
  Database* database;
  std::string job_id;
  v1::ReadLogsRequest request;
  std::map<std::filesystem::path, uint64_t> offsets;
  bool first = true;
  int quiet = 0;  // pulls without news after the job has ended

  Result<Pulled<v1::LogChunk>> Next() {
    Pulled<v1::LogChunk> pulled;
    bool ended = !request.follow();
    if (!ended) {
      ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
        ended = Ended(transaction, job_id);
        return Status();
      }));
    }
    for (const LogFile& file : logs->Files(job_id)) {
      if (!request.all_ranks() && file.rank != static_cast<uint32_t>(request.rank())) continue;
      auto [place, is_new] = offsets.try_emplace(file.path, 0);
      if (is_new && first && request.tail_lines() > 0) {
        place->second = TailOffset(file.path, request.tail_lines());
      }
      std::string bytes = ReadFrom(file.path, place->second, kChunkBytes);
      if (bytes.empty()) continue;
      v1::LogChunk chunk;
      chunk.set_generation(file.generation);
      chunk.set_rank(file.rank);
      chunk.set_offset(place->second);
      place->second += bytes.size();
      chunk.set_data(std::move(bytes));
      pulled.messages.push_back(std::move(chunk));
    }
    first = false;
    // The last lines arrive shortly after a job has ended.
    constexpr int kQuietPulls = 6;
    quiet = ended && pulled.messages.empty() ? quiet + 1 : 0;
    pulled.end = quiet >= (request.follow() ? kQuietPulls : 1);
    return pulled;
  }
};

// What a task has written, as far as it is committed. Each attempt writes anew.
struct OutputReader {
  std::filesystem::path path;
  Database* database;
  std::string job_id;
  bool follow = false;
  uint64_t offset = 0;
  uint32_t generation = 0;  // whose offset it is

  Result<Pulled<v1::OutputChunk>> Next() {
    jobs::OutputState output;
    ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(output, jobs::LoadOutputState(transaction, job_id));
      return Status();
    }));
    if (output.generation != generation) offset = 0;
    generation = output.generation;
    const uint64_t rest = output.bytes - std::min(output.bytes, offset);
    Pulled<v1::OutputChunk> pulled;
    pulled.end = rest == 0 && (!follow || jobs::IsFinal(output.state));
    if (rest == 0) return pulled;
    std::string bytes = ReadFrom(path, offset, std::min<uint64_t>(rest, kChunkBytes));
    if (bytes.empty()) {
      return Unavailable("the job's output " + path.string() +
                         " cannot be read: " + std::to_string(rest) + " bytes of it are missing");
    }
    v1::OutputChunk& chunk = pulled.messages.emplace_back();
    chunk.set_offset(offset);
    chunk.set_generation(generation);
    offset += bytes.size();
    chunk.set_data(std::move(bytes));
    return pulled;
  }
};

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* JobService::WatchJob(grpc::CallbackServerContext* context,
                                                             const v1::WatchJobRequest* request) {
  using Stream = PullStream<v1::JobEvent>;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return Stream::Fail(allowed);
  auto job = Find(request->id());
  if (!job.ok()) return Stream::Fail(rpc::ToGrpc(job.status()));
  return Stream::Start(
      ports_.pump,
      [database = ports_.database, id = job->id(),
       after = static_cast<int64_t>(
           request->after_sequence())]() mutable -> Result<Pulled<v1::JobEvent>> {
        Pulled<v1::JobEvent> pulled;
        ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
          for (const Event& event : ReadEvents(transaction, "job", id, after, kBatch)) {
            pulled.messages.push_back(ToMessage(event));
            after = event.sequence;
          }
          pulled.end = static_cast<int>(pulled.messages.size()) < kBatch && Ended(transaction, id);
          return Status();
        }));
        return pulled;
      });
}

grpc::ServerWriteReactor<v1::MetricPoint>* JobService::ReadMetrics(
    grpc::CallbackServerContext* context, const v1::ReadMetricsRequest* request) {
  using Stream = PullStream<v1::MetricPoint>;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return Stream::Fail(allowed);
  auto job = Find(request->id());
  if (!job.ok()) return Stream::Fail(rpc::ToGrpc(job.status()));
  jobs::MetricPosition position;
  if (request->after_step() > 0) position = {request->after_step(), 1};
  return Stream::Start(ports_.pump,
                       [database = ports_.database, id = job->id(), follow = request->follow(),
                        position]() mutable -> Result<Pulled<v1::MetricPoint>> {
                         Pulled<v1::MetricPoint> pulled;
                         ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
                           pulled.messages = jobs::ReadMetrics(transaction, id, &position, kBatch);
                           pulled.end = static_cast<int>(pulled.messages.size()) < kBatch &&
                                        (!follow || Ended(transaction, id));
                           return Status();
                         }));
                         return pulled;
                       });
}

grpc::ServerWriteReactor<v1::LogChunk>* JobService::ReadLogs(grpc::CallbackServerContext* context,
                                                             const v1::ReadLogsRequest* request) {
  using Stream = PullStream<v1::LogChunk>;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return Stream::Fail(allowed);
  auto job = Find(request->id());
  if (!job.ok()) return Stream::Fail(rpc::ToGrpc(job.status()));
  if (!request->all_ranks() && request->rank() < 0) {
    return Stream::Fail(rpc::ToGrpc(InvalidArgument("rank must be 0 or more").WithField("rank")));
  }
  auto reader = std::make_shared<LogReader>();
  reader->logs = ports_.logs;
  reader->database = ports_.database;
  reader->job_id = job->id();
  reader->request = *request;
  return Stream::Start(ports_.pump, [reader] { return reader->Next(); });
}

grpc::ServerWriteReactor<v1::OutputChunk>* JobService::ReadOutput(
    grpc::CallbackServerContext* context, const v1::ReadOutputRequest* request) {
  using Stream = PullStream<v1::OutputChunk>;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return Stream::Fail(allowed);
  auto job = Find(request->id());
  if (!job.ok()) return Stream::Fail(rpc::ToGrpc(job.status()));
  auto reader = std::make_shared<OutputReader>();
  reader->path = ports_.storage / "runs" / job->id() / "output.jsonl";
  reader->database = ports_.database;
  reader->job_id = job->id();
  reader->follow = request->follow();
  reader->offset = request->offset();
  reader->generation = request->generation();
  return Stream::Start(ports_.pump, [reader] { return reader->Next(); });
}

}  // namespace attune
