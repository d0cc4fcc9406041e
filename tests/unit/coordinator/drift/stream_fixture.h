#pragma once

// Streams on a storage of their own, with a clock that stands still and jobs that end when a test
// says so. What a coordinator loses in a crash is lost by Restart.

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/drift/monitor.h"
#include "tests/support/temporary_folder.h"

namespace attune::drift {

// {"text": "WORD 0"}, ... a line each.
std::string Rows(const std::string& word, int from, int to);

// EMBED jobs. The embedding of a text is (1, 0) when it begins with "new", else (0, 0), and a
// little of its length. They outlive the coordinator.
class FakeRunner final : public jobs::JobRunner {
 public:
  Result<v1::Job> Submit(const v1::SubmitJobRequest& request) override;
  Result<v1::Job> Cancel(const v1::CancelJobRequest& request) override;
  Result<v1::Job> Get(const std::string& id) override;
  Status ReadOutput(const std::string& id, const TakeLine& take) override;
  Status RemoveOutput(const std::string& id) override;

  datasets::Catalog* catalog = nullptr;
  v1::Job::State ends = v1::Job::SUCCEEDED;  // how jobs that are submitted end; QUEUED: not yet
  std::set<std::string> fail_datasets;       // whose jobs fail
  Status refuse;                             // of Submit
  std::map<std::string, Status> unreadable;  // data sets whose jobs' output cannot be read now
  int unread = 0;                            // times that this was said
  std::map<std::string, v1::Job> jobs;
  std::map<std::string, std::string> requests;  // request id to job
  std::set<std::string> removed;

  // Ids of the jobs that embed a data set, "name@version".
  std::vector<std::string> JobsOf(const std::string& dataset) const;
};

// Whose wall time can be set, as by NTP or by hand; deadlines go on.
class SettableClock final : public FakeClock {
 public:
  using FakeClock::FakeClock;
  TimePoint Now() override { return FakeClock::Now() + Duration(set_us_.load()); }
  void Set(Duration by) { set_us_ += by.count(); }

 private:
  std::atomic<int64_t> set_us_{0};
};

class StreamTest : public ::testing::Test {
 protected:
  StreamTest();
  ~StreamTest() override;

  // As kill -9 and a start; runs on what is on the disk.
  void Restart();
  // An error at the step, once.
  void FailOnce(const std::string& step) { fault_ = step; }
  // Ticks, and restarts after a step that failed.
  void TickThroughCrash();

  v1::StreamSpec Spec() const;  // windows of 10, alarm after two
  void Apply(const v1::StreamSpec& spec);
  Result<v1::ObserveResponse> Observe(const std::string& rows, const std::string& request_id = "",
                                      const std::string& stream = "live");
  v1::Stream Stream(const std::string& stream = "live");
  std::vector<v1::Window> Windows(const std::string& stream = "live");
  // Texts of a data set's rows, sorted.
  std::vector<std::string> Texts(const std::string& dataset);
  std::vector<std::string> EventTypes(const std::string& stream = "live");
  void Import(const std::string& name, const std::string& rows);
  void AddModel(uint32_t version, const std::string& dataset);
  // Paths of files below STORAGE/live.
  std::vector<std::string> LiveFiles() const;

  TemporaryFolder folder_;
  SettableClock clock_{TimePoint(std::chrono::seconds(1'700'000'000))};
  std::map<std::string, v1::ModelVersion> models_;  // by what a stream calls them
  FakeRunner runner_;
  ObservationOptions observation_options_;
  FolderWatch::Open open_folder_ = objects::OpenSource;
  std::chrono::milliseconds folder_patience_ = kReadPatience;
  std::function<void(std::string_view step)> on_fault_;  // called at each step
  std::vector<std::string> window_states_;               // that the monitor told
  std::unique_ptr<Database> database_;
  std::unique_ptr<datasets::Catalog> catalog_;
  std::unique_ptr<ObservationStore> observations_;
  std::unique_ptr<Monitor> monitor_;

 private:
  Status Fault(std::string_view step);
  std::string fault_;
  bool crashed_ = false;
};

}  // namespace attune::drift
