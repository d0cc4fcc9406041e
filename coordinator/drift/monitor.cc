#include "coordinator/drift/monitor.h"

#include "common/log/log.h"
#include "coordinator/drift/problems.h"

namespace attune::drift {
namespace {

// So that a stream with a long backlog does not keep the others waiting.
constexpr int kStepsPerTick = 200;

}  // namespace

Monitor::Monitor(MonitorPorts ports)
    : ports_(std::move(ports)),
      folders_(ports_.database, ports_.observations, ports_.clock, ports_.open_folder,
               ports_.folder_patience) {}

Monitor::~Monitor() {
  Shutdown();
}

void Monitor::Start() {
  thread_ = std::thread([this] { Run(); });
  folders_.Start();
}

void Monitor::Shutdown() {
  {
    MutexLock lock(&wake_mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  folders_.Shutdown();
  if (thread_.joinable()) thread_.join();
}

bool Monitor::stopping() {
  MutexLock lock(&wake_mutex_);
  return stopping_;
}

void Monitor::Run() {
  for (;;) {
    Tick();
    const auto deadline = std::chrono::steady_clock::now() + kTickInterval;
    MutexLock lock(&wake_mutex_);
    while (!stopping_ && wake_.WaitUntil(&wake_mutex_, deadline)) {
    }
    if (stopping_) return;
  }
}

Result<std::vector<StreamRecord>> Monitor::LoadAll() {
  std::vector<StreamRecord> streams;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    for (std::string after;;) {
      std::vector<StreamRecord> page = LoadStreams(transaction, after, kPageSizeMax);
      if (page.empty()) return Status();
      after = page.back().stream.spec().name();
      streams.insert(streams.end(), page.begin(), page.end());
    }
  }));
  folders_.Watch(streams);
  return streams;
}

Status Monitor::ReadFolders() {
  ATTUNE_RETURN_IF_ERROR(LoadAll().status());
  folders_.ReadAll();
  return Status();
}

void Monitor::Tick() {
  Result<std::vector<StreamRecord>> streams = LoadAll();
  NoteProblem("", streams.status());
  if (!streams.ok()) return;
  std::set<std::string> names;
  for (const StreamRecord& stream : *streams) {
    if (stopping()) return;
    names.insert(stream.stream.spec().name());
    if (stream.unreadable) {
      NoteProblem(stream.stream.spec().name(), DataLoss(kUnreadable));
      continue;
    }
    NoteProblem(stream.stream.spec().name(), TickStream(stream));
  }
  std::erase_if(pauses_, [&](const auto& pause) { return !names.contains(pause.first); });
  MutexLock lock(&problems_mutex_);
  std::erase_if(problems_, [&](const auto& problem) { return !names.contains(problem.first); });
}

Status Monitor::TickStream(const StreamRecord& stream) {
  Problems problems;
  auto note = [&](const Status& status) {
    problems.Add(status);
    return status.ok();
  };
  note(folders_.Problem(stream.stream.spec().name()));
  note(SetTimesBackIfAhead(stream));
  note(CloseDue(stream));
  note(MakeDatasets(stream, false));
  for (int step = 0; step < kStepsPerTick && !stopping(); ++step) {
    bool progress = false;
    if (!note(MeasureNext(stream, &progress)) || !progress) break;
  }
  return problems.All();
}

// Said once, when it changes.
void Monitor::NoteProblem(const std::string& stream, const Status& status) {
  MutexLock lock(&problems_mutex_);
  auto [known, added] = problems_.try_emplace(stream);
  if (status.ok()) {
    problems_.erase(known);
  } else if (added || known->second != status.message()) {
    spdlog::warn("stream '{}': {}", stream, status.message());
    known->second = status.message();
  }
}

std::map<std::string, std::string> Monitor::AllProblems() {
  MutexLock lock(&problems_mutex_);
  return problems_;
}

std::string Monitor::WindowRequest(const StreamRecord& stream, uint64_t number) const {
  return "window/" + stream.stream.spec().name() + "/" + stream.incarnation + "/" +
         std::to_string(number);
}

}  // namespace attune::drift
