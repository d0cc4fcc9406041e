#pragma once

// The owner of schedules and updates: one thread that looks each second for what is due, and takes
// every update a step further if it can be.
//
// An update's way is a row in the store. Each step asks others for something under a request id
// made of the update's id and the step, and commits what it got; so a coordinator that dies
// anywhere asks again and gets the first answer. Before something is asked whose answer depends on
// the moment (which windows, which versions), the question itself is committed. A cron slot fires
// once: its row and its update are made in one transaction.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "coordinator/jobs/record.h"
#include "coordinator/retraining/cron.h"
#include "coordinator/retraining/decisions.h"
#include "coordinator/retraining/ports.h"
#include "coordinator/retraining/repository.h"

namespace attune::retraining {

inline constexpr std::chrono::hours kTroubleMax{24};  // trouble that lasts as long is for good
inline constexpr size_t kLineageMax = 200;            // versions that are looked back on
inline constexpr uint32_t kRoundsMax = 3;             // champions that changed under one evaluation

// Thread-safe, but for Tick, which only one thread calls.
class Controller {
 public:
  static constexpr std::chrono::seconds kTickInterval{1};

  explicit Controller(Ports ports) : ports_(std::move(ports)) {}
  ~Controller();

  void Start();
  // Returns when the step under way has ended. May be repeated.
  void Shutdown() EXCLUDES(wake_mutex_);
  // What the thread does each time; tests call it.
  void Tick();

  // Each as the RPC of its name (requests.cc). A mutation that is repeated returns the first
  // answer.
  Result<v1::Schedule> Apply(const v1::ApplyScheduleRequest& request);
  Result<v1::Schedule> Get(const v1::GetScheduleRequest& request);
  Result<v1::ListSchedulesResponse> List(const v1::ListSchedulesRequest& request);
  Result<v1::DeleteScheduleResponse> Delete(const v1::DeleteScheduleRequest& request);
  Result<v1::Schedule> Pause(const v1::PauseScheduleRequest& request);
  Result<v1::Schedule> Resume(const v1::ResumeScheduleRequest& request);
  Result<v1::Update> Trigger(const v1::TriggerScheduleRequest& request);
  Result<v1::ListUpdatesResponse> ListUpdates(const v1::ListUpdatesRequest& request);
  Result<v1::Update> GetUpdate(const v1::GetUpdateRequest& request);
  Result<v1::Update> CancelUpdate(const v1::CancelUpdateRequest& request);
  Result<v1::NextFiringsResponse> NextFirings(const v1::NextFiringsRequest& request);
  // Why a schedule's triggers cannot be looked at, which is tried again each second; empty: they
  // can.
  std::string ProblemOf(const std::string& schedule) const EXCLUDES(noted_mutex_);

 private:
  void Run() EXCLUDES(wake_mutex_);
  bool stopping() EXCLUDES(wake_mutex_);

  // Of a schedule that is another one now: the next look may be far away.
  void ForgetProblems(const std::string& schedule) EXCLUDES(noted_mutex_);
  Status CheckReferences(const v1::ScheduleSpec& spec);
  v1::Schedule Show(Transaction& transaction, const ScheduleRecord& record);
  // triggers.cc: what is due.
  void LookAtSchedules();
  Status LookAtCron(const ScheduleRecord& schedule);
  Status LookAtState(const ScheduleRecord& schedule);
  Status Fire(const ScheduleRecord& schedule, const CronDecision& decision);
  Status Begin(const ScheduleRecord& schedule, const struct Trigger& trigger, const v1::Seen& seen);
  Result<std::string> StateOf(const ScheduleRecord& schedule);
  Result<TriggerFacts> CollectTriggerFacts(const v1::ScheduleSpec& spec);
  Result<uint64_t> NewExamples(const v1::ScheduleSpec& spec, const v1::Seen& seen);
  Result<v1::Seen> LookAround(const v1::ScheduleSpec& spec);
  void Note(const std::string& subject, const Status& status) EXCLUDES(noted_mutex_);
  // Of what a test's after_commit says after a transaction that went well: whether to end here.
  void AfterCommit(const Status& status);

  // One transaction: saves the record, appends an event, does what `also` does. The record is
  // changed only when it was committed. kUnavailable: somebody else changed the update meanwhile.
  Status Commit(UpdateRecord* record, const std::string& event, const std::string& message,
                const std::function<void(UpdateRecord*)>& change,
                const std::function<Status(Transaction&)>& also = {});
  Status Finish(UpdateRecord* record, v1::Update::State state, const std::string& reason);

  // steps.cc: an update's way. True when it got further.
  Result<bool> Advance(UpdateRecord* record);
  Result<bool> Step(UpdateRecord* record);
  Result<bool> GiveUp(UpdateRecord* record, const std::string& reason);
  Result<bool> StartWaiting(UpdateRecord* record);
  Result<bool> ChooseData(UpdateRecord* record);
  Result<bool> ChooseWindows(UpdateRecord* record);
  Result<bool> ComposeData(UpdateRecord* record);
  Result<bool> ChooseDatasets(UpdateRecord* record);
  Result<bool> Train(UpdateRecord* record);
  Result<bool> Evaluate(UpdateRecord* record);
  Result<bool> AskEvaluation(UpdateRecord* record);
  Result<bool> SubmitEvaluations(UpdateRecord* record);
  Result<bool> TidyUp(UpdateRecord* record);
  Result<double> HoursOfJobs(const UpdateRecord& record);
  Result<std::string> Champion(const v1::PromoteSpec& promote);
  Result<uint64_t> TrainedWindow(const UpdateRecord& record, const v1::Stream& stream);
  Result<v1::GatesSpec> GatesAgainst(const v1::GatesSpec& gates, const std::string& champion);
  Result<std::vector<v1::Window>> WindowsAfter(const std::string& stream, uint64_t after);
  Result<v1::Job> SubmitEvaluation(const std::string& request_id, const UpdateRecord& record,
                                   const v1::EvaluateRequest& request);

  // verdict.cc
  Result<bool> Decide(UpdateRecord* record);
  Status Promote(UpdateRecord* record, const v1::GateReport& report);
  Result<bool> ChampionMoved(UpdateRecord* record, const Status& refused);
  Result<v1::EvaluationFacts> ReadFacts(const std::string& model, const std::string& job,
                                        const v1::EvaluateRequest& request);
  Result<v1::GateFacts> CollectFacts(const UpdateRecord& record);
  Status AddProofs(v1::GateFacts* facts, const v1::EvaluateRequest& request);
  Result<std::vector<std::string>> Lineage(const std::vector<std::string>& models);
  Result<v1::GateReport> SaveFacts(const v1::GateFacts& facts, const std::string& update,
                                   v1::GateReport report);

  // watch.cc
  Result<bool> Watch(UpdateRecord* record);
  Result<bool> WatchNext(UpdateRecord* record);
  Result<bool> Compare(UpdateRecord* record);
  Result<v1::EvaluateRequest> LiveSuites(const UpdateRecord& record, const v1::Window& window);
  Result<v1::GateFacts> LiveFacts(const UpdateRecord& record);
  // Who moved the alias since this update did, in a sentence; empty: nobody.
  Result<std::string> MovedMeanwhile(const UpdateRecord& record);
  // Why the window that both are measured on is to count no more; empty: it counts.
  Result<std::string> ExcludedMeanwhile(const UpdateRecord& record);
  Status RollBack(UpdateRecord* record, const std::string& reason,
                  const std::function<void(UpdateRecord*)>& clear);

  const Ports ports_;
  // Of the ticking thread.
  std::string looked_at_;                             // the schedule whose state was seen to last
  std::map<std::string, std::string> asked_nothing_;  // by schedule: the StateOf that did not ask
  bool crashed_ = false;                              // of tests: after_commit said so
  std::thread thread_;
  mutable Mutex noted_mutex_;
  // Problems by what they are of: an update's id, or a schedule's CronOf and TriggersOf.
  std::map<std::string, std::string> noted_ GUARDED_BY(noted_mutex_);
  Mutex wake_mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(wake_mutex_) = false;
};

// The schedule as people see it: with state, reason, next, counts.
v1::Schedule View(Transaction& transaction, const ScheduleRecord& record, TimePoint now);
v1::Seen SeenOf(const v1::Stream& stream);
// The cron expressions of limits.blackouts; those that cannot be read any more are left out.
std::vector<Cron> BlackoutsOf(const v1::ScheduleSpec& spec);
// What DecideStart looks at, for an update of this number.
LimitFacts LimitFactsOf(Transaction& transaction, const v1::ScheduleSpec& schedule, int64_t number,
                        TimePoint now);
void AddJob(v1::Update* update, const std::string& job);

}  // namespace attune::retraining
