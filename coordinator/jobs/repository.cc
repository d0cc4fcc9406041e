#include "coordinator/jobs/repository.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "common/log/log.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

using soci::into;
using soci::use;

constexpr uint32_t kPageSizeDefault = 100;
constexpr uint32_t kPageSizeMax = 1000;
constexpr size_t kPageBytesMax = 2 << 20;  // and one job
constexpr int kPauseThenResume = 2;        // in the column pause_requested

template <typename Message>
Result<Message> Parse(const std::string& text) {
  Message message;
  auto bytes = DecodeBytes(text);
  if (!bytes.ok()) return bytes.status();
  if (!message.ParseFromString(*bytes)) return DataLoss("a stored message cannot be read");
  return message;
}

int64_t Micros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}

// The columns of a job row, in the order of kColumns.
struct JobRow {
  explicit JobRow(const JobRecord& r)
      : id(r.job.id()),
        number(r.number),
        name(r.job.name()),
        kind(r.job.kind()),
        state(r.job.state()),
        created_us(Micros(r.job.created())),
        ended_us(Micros(r.job.ended())),
        job(EncodeBytes(r.job.SerializeAsString())),
        spec_source(r.spec_source),
        phase(static_cast<int>(r.phase)),
        phase_since_us(ToMicros(r.phase_since)),
        queued_us(ToMicros(r.queued)),
        not_before_us(ToMicros(r.not_before)),
        pause_requested(!r.pause_requested    ? 0
                        : !r.resume_requested ? 1
                                              : kPauseThenResume),
        pause_cause(static_cast<int>(r.pause_cause)),
        free_bytes_wanted(static_cast<long long>(r.free_bytes_wanted)),
        no_space_pauses(static_cast<int>(r.no_space_pauses)),
        checkpoint_step(static_cast<int>(r.checkpoint_step)),
        token_sha256(r.token_sha256),
        output_path(r.output_path),
        output_bytes(static_cast<long long>(r.output_bytes)) {}
  JobRow() = default;

  Result<JobRecord> ToRecord() const {
    JobRecord r;
    ATTUNE_ASSIGN_OR_RETURN(r.job, Parse<v1::Job>(job));
    r.number = number;
    r.spec_source = spec_source;
    r.phase = static_cast<Phase>(phase);
    r.phase_since = FromMicros(phase_since_us);
    r.queued = FromMicros(queued_us);
    r.not_before = FromMicros(not_before_us);
    r.pause_requested = pause_requested != 0;
    r.resume_requested = pause_requested == kPauseThenResume;
    r.pause_cause = static_cast<PauseCause>(pause_cause);
    r.free_bytes_wanted = static_cast<uint64_t>(free_bytes_wanted);
    r.no_space_pauses = static_cast<uint32_t>(no_space_pauses);
    r.checkpoint_step = static_cast<uint32_t>(checkpoint_step);
    r.token_sha256 = token_sha256;
    r.output_path = output_path;
    r.output_bytes = static_cast<uint64_t>(output_bytes);
    return r;
  }

  std::string id;
  long long number = 0;
  std::string name;
  int kind = 0, state = 0;
  long long created_us = 0, ended_us = 0;
  std::string job, spec_source;
  int phase = 0;
  long long phase_since_us = 0, queued_us = 0, not_before_us = 0;
  int pause_requested = 0, pause_cause = 0;
  long long free_bytes_wanted = 0;
  int no_space_pauses = 0, checkpoint_step = 0;
  std::string token_sha256, output_path;
  long long output_bytes = 0;
};

constexpr char kInsertJob[] =
    "INSERT INTO jobs (id, number, name, kind, state, created_us, ended_us, job, spec_source, "
    "phase, phase_since_us, queued_us, not_before_us, pause_requested, pause_cause, "
    "free_bytes_wanted, no_space_pauses, checkpoint_step, token_sha256, output_path, "
    "output_bytes) VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k, :l, :m, :n, :o, :p, :q, "
    ":r, :s, :t, :u)";
constexpr char kUpdateJob[] =
    "UPDATE jobs SET state = :state, ended_us = :ended, job = :job, phase = :phase, "
    "phase_since_us = :since, queued_us = :queued, not_before_us = :not_before, pause_requested = "
    ":pausing, pause_cause = :cause, free_bytes_wanted = :wanted, no_space_pauses = :pauses, "
    "checkpoint_step = :step, token_sha256 = :token, output_path = :output, output_bytes = :bytes "
    "WHERE id = :id";
constexpr char kSelectJobs[] =
    "SELECT id, number, job, spec_source, phase, phase_since_us, queued_us, not_before_us, "
    "pause_requested, pause_cause, free_bytes_wanted, no_space_pauses, checkpoint_step, "
    "token_sha256, output_path, output_bytes FROM jobs ";

// The jobs that the condition on :value selects.
template <typename Value>
std::vector<JobRecord> LoadJobs(Transaction& transaction, const std::string& condition,
                                const Value& value) {
  std::vector<JobRecord> records;
  JobRow r;
  soci::statement rows =
      (transaction.session().prepare << kSelectJobs + condition, use(value), into(r.id),
       into(r.number), into(r.job), into(r.spec_source), into(r.phase), into(r.phase_since_us),
       into(r.queued_us), into(r.not_before_us), into(r.pause_requested), into(r.pause_cause),
       into(r.free_bytes_wanted), into(r.no_space_pauses), into(r.checkpoint_step),
       into(r.token_sha256), into(r.output_path), into(r.output_bytes));
  rows.execute();
  while (rows.fetch()) {
    auto record = r.ToRecord();
    if (!record.ok()) {
      spdlog::error("job={} is left out: {}", r.id, record.status().ToString());
      continue;
    }
    records.push_back(std::move(*record));
  }
  return records;
}

}  // namespace

void InsertJob(Transaction& transaction, JobRecord* record) {
  soci::session& sql = transaction.session();
  long long number = 0;
  sql << "SELECT COALESCE(MAX(number), 0) + 1 FROM jobs", into(number);
  record->number = number;
  JobRow r(*record);
  sql << kInsertJob, use(r.id), use(r.number), use(r.name), use(r.kind), use(r.state),
      use(r.created_us), use(r.ended_us), use(r.job), use(r.spec_source), use(r.phase),
      use(r.phase_since_us), use(r.queued_us), use(r.not_before_us), use(r.pause_requested),
      use(r.pause_cause), use(r.free_bytes_wanted), use(r.no_space_pauses), use(r.checkpoint_step),
      use(r.token_sha256), use(r.output_path), use(r.output_bytes);
}

void SaveJob(Transaction& transaction, const JobRecord& record) {
  JobRow r(record);
  transaction.session() << kUpdateJob, use(r.state), use(r.ended_us), use(r.job), use(r.phase),
      use(r.phase_since_us), use(r.queued_us), use(r.not_before_us), use(r.pause_requested),
      use(r.pause_cause), use(r.free_bytes_wanted), use(r.no_space_pauses), use(r.checkpoint_step),
      use(r.token_sha256), use(r.output_path), use(r.output_bytes), use(r.id);
}

Result<v1::Job> FindJob(Transaction& transaction, const std::string& id_or_name) {
  soci::session& sql = transaction.session();
  std::string text;
  sql << "SELECT job FROM jobs WHERE id = :id", use(id_or_name), into(text);
  if (!sql.got_data()) {
    sql << "SELECT job FROM jobs WHERE name = :name ORDER BY number DESC LIMIT 1", use(id_or_name),
        into(text);
  }
  if (!sql.got_data()) {
    return NotFound("no job '" + id_or_name + "': `attune job list` shows those there are");
  }
  return Parse<v1::Job>(text);
}

Result<JobRecord> LoadJob(Transaction& transaction, const std::string& id) {
  std::vector<JobRecord> records = LoadJobs(transaction, "WHERE id = :value", id);
  if (records.empty()) return DataLoss("job '" + id + "' is not there or cannot be read");
  return std::move(records[0]);
}

Result<OutputState> LoadOutputState(Transaction& transaction, const std::string& id) {
  int state = 0, generation = 0;
  long long bytes = 0;
  soci::statement row =
      (transaction.session().prepare
           << "SELECT state, output_bytes, (SELECT COALESCE(MAX(generation), 0) FROM attempts "
              "WHERE job_id = jobs.id) FROM jobs WHERE id = :id",
       use(id), into(state), into(bytes), into(generation));
  if (!row.execute(/*withDataExchange=*/true)) return DataLoss("job '" + id + "' is not there");
  return OutputState{static_cast<v1::Job::State>(state), static_cast<uint32_t>(generation),
                     static_cast<uint64_t>(bytes)};
}

std::vector<JobRecord> LoadOpenJobs(Transaction& transaction) {
  const int last = v1::Job::PAUSED;  // the final states come after it
  return LoadJobs(transaction, "WHERE state <= :value ORDER BY number", last);
}

std::map<std::string, std::string> ModelsInUse(Transaction& transaction) {
  std::map<std::string, std::string> models;
  for (const JobRecord& record : LoadOpenJobs(transaction)) {
    std::set<std::string> used(record.job.adapters().begin(), record.job.adapters().end());
    used.insert(record.job.base());
    for (const std::string& model : used) {
      std::string& by = models[model];
      by += (by.empty() ? "" : "; ") + record.job.id() + " is " + StateName(record.job.state());
    }
  }
  return models;
}

Result<v1::ListJobsResponse> ListJobs(Transaction& transaction,
                                      const v1::ListJobsRequest& request) {
  long long before = INT64_MAX;
  const std::string& token = request.page_token();
  if (!token.empty()) {
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), before);
    if (error != std::errc() || end != token.data() + token.size()) {
      return InvalidArgument("page_token is not one that this server gave").WithField("page_token");
    }
  }
  uint32_t page =
      request.page_size() == 0 ? kPageSizeDefault : std::min(request.page_size(), kPageSizeMax);
  std::string where = "number < :before";
  if (!request.all_kinds()) where += " AND kind = " + std::to_string(v1::Job::TRAIN);
  if (request.states_size() > 0) {
    std::string states;
    for (int state : request.states())
      states += (states.empty() ? "" : ",") + std::to_string(state);
    where += " AND state IN (" + states + ")";
  }
  v1::ListJobsResponse response;
  long long number = 0;
  int limit = static_cast<int>(page) + 1;
  std::string text;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT number, job FROM jobs WHERE " + where + " ORDER BY number DESC LIMIT :limit",
       use(before), use(limit), into(number), into(text));
  rows.execute();
  long long last = 0;
  size_t bytes = 0;
  for (uint32_t row = 0; rows.fetch(); ++row, last = number) {
    if (row == page || bytes >= kPageBytesMax) {
      response.set_next_page_token(std::to_string(last));
      break;
    }
    auto job = Parse<v1::Job>(text);
    if (job.ok()) {
      job->clear_task();
      bytes += job->ByteSizeLong();
      *response.add_jobs() = std::move(*job);
    } else {
      spdlog::error("job number {} is left out of a list: {}", number, job.status().ToString());
    }
  }
  return response;
}

JobCounts CountJobs(Transaction& transaction) {
  JobCounts counts;
  int kind = 0, state = 0, count = 0;
  for (kind = v1::Job::TRAIN; kind <= v1::Job::EMBED; ++kind) {
    for (state = v1::Job::QUEUED; state <= v1::Job::CANCELLED; ++state) {
      counts[v1::Job::Kind_Name(kind)][StateName(static_cast<v1::Job::State>(state))] = 0;
    }
  }
  soci::statement rows = (transaction.session().prepare
                              << "SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state",
                          into(kind), into(state), into(count));
  rows.execute();
  while (rows.fetch()) {
    counts[v1::Job::Kind_Name(kind)][StateName(static_cast<v1::Job::State>(state))] =
        static_cast<uint64_t>(count);
  }
  return counts;
}

std::optional<TimePoint> OldestQueued(Transaction& transaction) {
  const int queued = v1::Job::QUEUED;
  long long oldest_us = 0;
  transaction.session() << "SELECT COALESCE(MIN(queued_us), 0) FROM jobs WHERE state = :queued",
      use(queued), into(oldest_us);
  return oldest_us == 0 ? std::nullopt : std::optional(FromMicros(oldest_us));
}

std::vector<v1::Job> RecentTrainJobs(Transaction& transaction, size_t open_max, size_t ended_max) {
  const std::string train =
      "SELECT job FROM jobs WHERE kind = " + std::to_string(v1::Job::TRAIN) + " AND state ";
  auto select = [&](const std::string& query) {
    std::vector<v1::Job> jobs;
    std::string text;
    soci::statement rows = (transaction.session().prepare << query, into(text));
    rows.execute();
    while (rows.fetch()) {
      auto job = Parse<v1::Job>(text);
      if (job.ok()) jobs.push_back(std::move(*job));
    }
    return jobs;
  };
  std::vector<v1::Job> open = select(train + "<= " + std::to_string(v1::Job::PAUSED) +
                                     " ORDER BY number LIMIT " + std::to_string(open_max));
  // State by state, so that an index gives the newest.
  std::vector<v1::Job> ended;
  for (int state : {v1::Job::SUCCEEDED, v1::Job::FAILED, v1::Job::CANCELLED}) {
    for (v1::Job& job : select(train + "= " + std::to_string(state) +
                               " ORDER BY ended_us DESC LIMIT " + std::to_string(ended_max))) {
      ended.push_back(std::move(job));
    }
  }
  std::stable_sort(ended.begin(), ended.end(), [](const v1::Job& one, const v1::Job& other) {
    return GetTimestamp(one.ended()) > GetTimestamp(other.ended());
  });
  ended.resize(std::min(ended.size(), ended_max));
  open.insert(open.end(), std::make_move_iterator(ended.begin()),
              std::make_move_iterator(ended.end()));
  return open;
}

double AppliedSeconds(Transaction& transaction, const std::string& job_id) {
  double seconds = 0;
  transaction.session() << "SELECT COALESCE(SUM(seconds), 0.0) FROM step_metrics WHERE job_id = "
                           ":job AND kind = 0",
      use(job_id), into(seconds);
  return seconds;
}

void SaveTrainer(Transaction& transaction, const TrainerRecord& trainer) {
  int generation = static_cast<int>(trainer.generation), rank = static_cast<int>(trainer.rank);
  int slot = static_cast<int>(trainer.slot), state = static_cast<int>(trainer.state);
  long long last_sequence = static_cast<long long>(trainer.last_sequence);
  std::string failed = trainer.failed ? EncodeBytes(trainer.failed->SerializeAsString()) : "";
  transaction.session()
      << "INSERT INTO trainers (id, job_id, generation, rank, node, slot, state, last_sequence, "
         "done_task_id, failed) VALUES (:id, :job, :generation, :rank, :node, :slot, :state, "
         ":sequence, :done, :failed) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
         "last_sequence = excluded.last_sequence, done_task_id = excluded.done_task_id, failed = "
         "excluded.failed",
      use(trainer.id), use(trainer.job_id), use(generation), use(rank), use(trainer.node),
      use(slot), use(state), use(last_sequence), use(trainer.done_task_id), use(failed);
}

std::vector<TrainerRecord> LoadLiveTrainers(Transaction& transaction) {
  std::vector<TrainerRecord> trainers;
  TrainerRecord t;
  int generation = 0, rank = 0, slot = 0, state = 0;
  long long last_sequence = 0;
  std::string failed;
  const int exited = static_cast<int>(TrainerState::kExited);
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT id, job_id, generation, rank, node, slot, state, last_sequence, "
              "done_task_id, failed FROM trainers WHERE state < :exited ORDER BY id",
       use(exited), into(t.id), into(t.job_id), into(generation), into(rank), into(t.node),
       into(slot), into(state), into(last_sequence), into(t.done_task_id), into(failed));
  rows.execute();
  while (rows.fetch()) {
    t.generation = static_cast<uint32_t>(generation);
    t.rank = static_cast<uint32_t>(rank);
    t.slot = static_cast<uint32_t>(slot);
    t.state = static_cast<TrainerState>(state);
    t.last_sequence = static_cast<uint64_t>(last_sequence);
    auto parsed = Parse<v1::TaskFailed>(failed);
    t.failed = !failed.empty() && parsed.ok() ? std::optional(*parsed) : std::nullopt;
    trainers.push_back(t);
  }
  return trainers;
}

void StartAttempt(Transaction& transaction, const std::string& job_id, uint32_t generation,
                  uint32_t ranks) {
  int number = static_cast<int>(generation), count = static_cast<int>(ranks);
  int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "INSERT INTO attempts (job_id, generation, ranks, placed_us, ended_us, "
                           "outcome) VALUES (:job, :generation, :ranks, :now, 0, '')",
      use(job_id), use(number), use(count), use(now_us);
}

void EndAttempt(Transaction& transaction, const std::string& job_id, uint32_t generation,
                const std::string& outcome) {
  int number = static_cast<int>(generation);
  int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "UPDATE attempts SET ended_us = :now, outcome = :outcome WHERE job_id = "
                           ":job AND generation = :generation",
      use(now_us), use(outcome), use(job_id), use(number);
}

std::map<uint32_t, AttemptRow> LoadAttempts(Transaction& transaction, const std::string& job_id) {
  std::map<uint32_t, AttemptRow> attempts;
  int generation = 0, ranks = 0;
  std::string outcome;
  soci::statement rows = (transaction.session().prepare
                              << "SELECT generation, ranks, outcome FROM attempts WHERE job_id = "
                                 ":job ORDER BY generation",
                          use(job_id), into(generation), into(ranks), into(outcome));
  rows.execute();
  while (rows.fetch()) {
    attempts[static_cast<uint32_t>(generation)] = {static_cast<uint32_t>(ranks), outcome};
  }
  return attempts;
}

double SaveMetric(Transaction& transaction, const std::string& job_id,
                  const v1::MetricPoint& point) {
  int step = static_cast<int>(point.step());
  int kind = point.has_validation_loss() && !point.has_loss() ? 1 : 0;
  double seconds = point.seconds(), before = 0;
  transaction.session() << "SELECT seconds FROM step_metrics WHERE job_id = :job AND step = :step "
                           "AND kind = :kind",
      use(job_id), use(step), use(kind), into(before);
  std::string text = EncodeBytes(point.SerializeAsString());
  transaction.session() << "INSERT INTO step_metrics (job_id, step, kind, seconds, point) VALUES "
                           "(:job, :step, :kind, :seconds, :point) ON CONFLICT (job_id, step, "
                           "kind) DO UPDATE SET seconds = excluded.seconds, point = excluded.point",
      use(job_id), use(step), use(kind), use(seconds), use(text);
  return kind == 0 ? seconds - before : 0;
}

std::vector<v1::MetricPoint> ReadMetrics(Transaction& transaction, const std::string& job_id,
                                         MetricPosition* position, int limit) {
  std::vector<v1::MetricPoint> points;
  int step = static_cast<int>(position->step), kind = position->kind;
  int row_step = 0, row_kind = 0;
  std::string text;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT step, kind, point FROM step_metrics WHERE job_id = :job AND (step > :step "
              "OR (step = :step2 AND kind > :kind)) ORDER BY step, kind LIMIT :limit",
       use(job_id), use(step), use(step), use(kind), use(limit), into(row_step), into(row_kind),
       into(text));
  rows.execute();
  while (rows.fetch()) {
    auto point = Parse<v1::MetricPoint>(text);
    if (point.ok()) points.push_back(std::move(*point));
    position->step = static_cast<uint32_t>(row_step);
    position->kind = row_kind;
  }
  return points;
}

void SaveNode(Transaction& transaction, const v1::Node& node) {
  std::string name = node.name(), text = EncodeBytes(node.SerializeAsString());
  int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "INSERT INTO nodes (name, node, seen_us) VALUES (:name, :node, :now) ON "
                           "CONFLICT (name) DO UPDATE SET node = excluded.node, seen_us = "
                           "excluded.seen_us",
      use(name), use(text), use(now_us);
}

void DeleteNode(Transaction& transaction, const std::string& name) {
  transaction.session() << "DELETE FROM nodes WHERE name = :name", use(name);
}

std::vector<v1::Node> LoadNodes(Transaction& transaction) {
  std::vector<v1::Node> nodes;
  std::string text;
  soci::statement rows =
      (transaction.session().prepare << "SELECT node FROM nodes ORDER BY name", into(text));
  rows.execute();
  while (rows.fetch()) {
    auto node = Parse<v1::Node>(text);
    if (node.ok()) nodes.push_back(std::move(*node));
  }
  return nodes;
}

}  // namespace attune::jobs
