#pragma once

// Streams of live data: cuts what is observed into windows, makes each a data set version, has it
// embedded by the model that the stream's alias points at, and holds it against the profile of what
// that model was trained on.
//
// A window's way is a row in the store, and each step of it may be repeated: whatever is asked of
// others carries a request id made of the stream, the window and the step, so that a coordinator
// that dies anywhere goes on. Windows are measured in order, one of a stream at a time. One that
// cannot be measured says why and keeps nobody waiting.
//
// A window and its reference are embedded by the same model: the champion at that time. When the
// alias moves, the next window's reference is a profile by the new model, of the new model's data.
// Windows held against different profiles are not compared with each other.
//
// What grows: a row and a data set version for each window. An EMBED job's output is removed once
// its window is measured; of profiles those that streams used last and
// kProfilesKept more are kept.

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "attune/v1/models.pb.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/drift/detect.h"
#include "coordinator/drift/folder_watch.h"
#include "coordinator/drift/observations.h"
#include "coordinator/drift/repository.h"
#include "coordinator/drift/samples.h"
#include "coordinator/jobs/runner.h"

namespace attune::drift {

inline constexpr int kProfilesKept = 20;
inline constexpr int kReferencesMax = 8;         // data sets of one profile
inline constexpr uint32_t kWindowsBefore = 200;  // that a verdict looks back on
// How the source of a window's data set version begins; its number follows.
inline constexpr const char* kWindowSource = "window ";
inline constexpr std::chrono::hours kEmbedTimeout{24};
inline constexpr std::chrono::seconds kMeasureAgain{30};  // after it failed for what may pass

// What decides; tests may put in their own.
struct Detectors {
  std::function<Result<std::vector<v1::DetectorResult>>(
      const Sample& reference, const Sample& window, const DetectOptions& options)>
      detect = Detect;
  std::function<void(const std::vector<v1::Window>& before, const DetectOptions& options,
                     v1::Window* window)>
      judge = Judge;
  std::function<std::vector<v1::NewCluster>(const Sample& reference, const Sample& window,
                                            uint64_t seed)>
      find_new = FindNew;
};

// All outlive the monitor.
struct MonitorPorts {
  Database* database = nullptr;  // opened with Migrations()
  Clock* clock = nullptr;
  datasets::Catalog* catalog = nullptr;
  jobs::JobRunner* runner = nullptr;
  ObservationStore* observations = nullptr;
  // The registry's Get: "name@alias" to a version.
  std::function<Result<v1::ModelVersion>(const std::string& reference)> find_model;
  std::filesystem::path storage;
  // After the commit, with the window's final state.
  std::function<void(const std::string& state)> on_window;
  Detectors detectors;
  // Of tests: what is watched, how long it is waited for; an error of fault ends the step there, as
  // a crash would.
  FolderWatch::Open open_folder = objects::OpenSource;
  std::chrono::milliseconds folder_patience = kReadPatience;
  std::function<Status(std::string_view step)> fault;
};

// Thread-safe.
class Monitor {
 public:
  static constexpr std::chrono::seconds kTickInterval{1};

  explicit Monitor(MonitorPorts ports);
  ~Monitor();

  void Start();
  // Returns when the step under way has ended. May be repeated.
  void Shutdown() EXCLUDES(wake_mutex_);
  // What the thread does each time, and those that read watched folders; tests call them.
  void Tick() EXCLUDES(closing_mutex_);
  Status ReadFolders();

  // Each as the RPC of its name. A mutation that is repeated returns the first answer.
  Result<v1::Stream> Apply(const v1::ApplyStreamRequest& request);
  Result<v1::Stream> Get(const std::string& stream);
  Result<v1::ListStreamsResponse> List(const v1::ListStreamsRequest& request);
  Status Delete(const v1::DeleteStreamRequest& request);
  // What keeps streams from going on, by their names: as of the last tick.
  std::map<std::string, std::string> AllProblems() EXCLUDES(problems_mutex_);
  // Closed ones that are data set versions (or whose rows were lost), oldest first.
  Result<std::vector<v1::Window>> Windows(const std::string& stream, uint64_t after,
                                          uint32_t limit);
  // Closes the open window now if it holds rows, and makes all closed ones data set versions;
  // returns the stream.
  Result<v1::Stream> CloseWindow(const std::string& request_id, const std::string& stream)
      EXCLUDES(closing_mutex_);
  // Of a closed window. actor: who asks, for the event and the reason.
  Result<v1::Window> SetWindowExcluded(const v1::SetWindowExcludedRequest& request,
                                       const std::string& actor);

 private:
  void Run() EXCLUDES(wake_mutex_);
  bool stopping() EXCLUDES(wake_mutex_);
  Result<std::vector<StreamRecord>> LoadAll();  // and watches their folders
  Status TickStream(const StreamRecord& stream);
  void NoteProblem(const std::string& stream, const Status& status) EXCLUDES(problems_mutex_);

  // monitor_closing.cc
  Status SetTimesBackIfAhead(const StreamRecord& stream);
  Status CloseDue(const StreamRecord& stream);
  // Of a stream one thread at a time makes them. wait: for another that does, else it is left to
  // it.
  Status MakeDatasets(const StreamRecord& stream, bool wait) EXCLUDES(closing_mutex_);
  bool BeginClosing(const std::string& stream, bool wait) EXCLUDES(closing_mutex_);
  void EndClosing(const std::string& stream) EXCLUDES(closing_mutex_);
  Status MakeFullDatasets(const StreamRecord& stream);
  Status MakeDataset(const StreamRecord& stream, WindowRecord window);
  // Of a window that is not done and whose record is damaged: its rows, or the data set version
  // that they became, are there.
  Status BeginAnew(const StreamRecord& stream, WindowRecord window);
  Result<v1::DatasetVersion> Import(const StreamRecord& stream, const WindowRecord& window);
  Status FinishWindow(const StreamRecord& stream, WindowRecord window, const std::string& state,
                      const std::string& reason, bool no_reference = false);

  // monitor_measuring.cc. progress: something was done, so that there may be more to do now.
  Status MeasureNext(const StreamRecord& stream, bool* progress);
  Status BeginMeasuring(const StreamRecord& stream, WindowRecord window);
  // Of a window whose profile cannot be had: the next step asks for the one of today.
  Status BeginMeasuringAgain(const StreamRecord& stream, WindowRecord window);
  Status GoOnMeasuring(const StreamRecord& stream, WindowRecord window, bool* progress);
  Status StepMeasuring(const StreamRecord& stream, WindowRecord window, bool* progress);
  Status LaterAgain(const StreamRecord& stream, Status status);
  Status Measure(const StreamRecord& stream, WindowRecord window, ProfileRecord profile);
  Status SaveMeasured(const StreamRecord& stream, WindowRecord window,
                      const DetectOptions& options);
  // What the reference is a profile of; kNotFound with the reason when there is none.
  Result<v1::ReferenceProfile> FindReference(const v1::StreamSpec& spec);
  // What the spec names and is not there, a sentence each: it may come yet.
  std::vector<std::string> MissingOf(const v1::StreamSpec& spec);
  Result<v1::Job> SubmitEmbed(const std::string& request_id, const std::string& model,
                              const v1::ReferencePart& rows);
  void CancelEmbed(const std::string& job, const std::string& reason);
  DetectOptions OptionsOf(const StreamRecord& stream, uint64_t window);

  // monitor_profiles.cc
  // The profile, a step further if it can be: its jobs submitted, or what they wrote taken in. None
  // when its record is gone or damaged, or does not say what to embed.
  Result<std::optional<ProfileRecord>> AdvanceProfile(const std::string& key);
  Status SubmitProfile(ProfileRecord* profile);
  Status BuildProfile(ProfileRecord* profile);
  Status SaveProfileRecord(const ProfileRecord& record);
  std::filesystem::path ProfilePath(const std::string& key) const;
  ForEachLine LinesOf(const std::string& job) const;
  ForEachLine RowsOf(const std::string& dataset) const;

  std::string WindowRequest(const StreamRecord& stream, uint64_t number) const;
  Status Fault(std::string_view step) const { return ports_.fault ? ports_.fault(step) : Status(); }

  const MonitorPorts ports_;
  struct Pause {
    std::chrono::steady_clock::time_point until;
    Status why;
  };

  FolderWatch folders_;                  // synchronises itself
  std::map<std::string, Pause> pauses_;  // of the ticking thread: of measuring, by stream
  std::thread thread_;

  Mutex closing_mutex_;
  CondVar closing_ended_;
  std::set<std::string> closing_ GUARDED_BY(closing_mutex_);  // streams; see MakeDatasets
  Mutex problems_mutex_;
  std::map<std::string, std::string> problems_ GUARDED_BY(problems_mutex_);  // none is empty
  Mutex wake_mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(wake_mutex_) = false;
};

}  // namespace attune::drift
