#include "coordinator/metrics/metrics.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace attune::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Snapshot TwoRunning() {
  Snapshot snapshot;
  snapshot.jobs["TRAIN"]["RUNNING"] = 2;
  snapshot.jobs["EMBED"]["QUEUED"] = 5;
  snapshot.nodes["READY"] = 1;
  snapshot.slots_free = 1;
  snapshot.slots_used = 3;
  JobSample job;
  job.id = "job-1";
  job.name = "docs";
  job.train_loss = 2.5;
  job.seconds_since_placed = 100;
  job.seconds_applied = 75;
  job.running = true;
  snapshot.job_samples.push_back(job);
  snapshot.queue_oldest_seconds = 7;
  snapshot.storage_bytes = 1000;
  snapshot.storage_free_bytes = 100;
  snapshot.windows["waiting"] = 4;
  snapshot.streams.push_back({"live", true, {{"ks", "loss", 0.25}}, true, 12, 3});
  return snapshot;
}

TEST(Metrics, SchedulesHaveEverySeriesFromTheStart) {
  Metrics metrics("1.2.3", [] {
    Snapshot snapshot;
    ScheduleSample schedule;
    schedule.name = "weekly";
    schedule.updates = {{"PROMOTED", 2}, {"TRAINING", 1}};
    schedule.next = 1000;
    schedule.gpu_seconds = 3600;
    schedule.open_seconds = 60;
    schedule.problem = true;
    snapshot.schedules.push_back(schedule);
    return Result<Snapshot>(snapshot);
  });
  std::string page = metrics.Render();
  EXPECT_THAT(page, HasSubstr("attune_schedule_updates_total{schedule=\"weekly\","
                              "state=\"PROMOTED\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("attune_schedule_updates_total{schedule=\"weekly\","
                              "state=\"FAILED\"} 0\n"));
  EXPECT_THAT(page, Not(HasSubstr("TRAINING")));
  EXPECT_THAT(page,
              HasSubstr("attune_schedule_next_timestamp_seconds{schedule=\"weekly\"} 1000\n"));
  EXPECT_THAT(page, HasSubstr("attune_schedule_gpu_seconds{schedule=\"weekly\"} 3600\n"));
  EXPECT_THAT(page, HasSubstr("attune_schedule_update_open_seconds{schedule=\"weekly\"} 60\n"));
  EXPECT_THAT(page, HasSubstr("attune_schedule_problem{schedule=\"weekly\"} 1\n"));
}

// GET /metrics with a plain socket.
std::string Fetch(const std::string& address) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval timeout{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string page;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    const std::string get = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if (write(fd, get.data(), get.size()) == static_cast<ssize_t>(get.size())) {
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) page.append(buffer, size_t(n));
    }
  }
  close(fd);
  return page;
}

TEST(Metrics, GaugesComeFromTheSnapshot) {
  Metrics metrics("1.2.3", [] { return Result<Snapshot>(TwoRunning()); });
  std::string page = metrics.Render();
  EXPECT_THAT(page, HasSubstr("attune_jobs{state=\"RUNNING\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("attune_jobs{state=\"FAILED\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("attune_task_jobs{kind=\"EMBED\",state=\"QUEUED\"} 5\n"));
  EXPECT_THAT(page, HasSubstr("attune_task_jobs{kind=\"EVALUATE\",state=\"FAILED\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("attune_nodes{state=\"READY\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_slots{state=\"used\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("attune_train_loss{job_id=\"job-1\",name=\"docs\"} 2.5\n"));
  EXPECT_THAT(page, HasSubstr("attune_goodput_ratio{job_id=\"job-1\",name=\"docs\"} 0.75\n"));
  EXPECT_THAT(page, Not(HasSubstr("attune_validation_loss{")));
  EXPECT_THAT(page, HasSubstr("attune_job_running{job_id=\"job-1\",name=\"docs\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_queue_oldest_seconds 7\n"));
  EXPECT_THAT(page, HasSubstr("attune_storage_free_bytes 100\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_windows{state=\"waiting\"} 4\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_alarm{stream=\"live\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_problem{stream=\"live\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_rows_observed_total{stream=\"live\"} 12\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_rows_rejected_total{stream=\"live\"} 3\n"));
  EXPECT_THAT(page,
              HasSubstr("attune_drift_effect{stream=\"live\",detector=\"ks\",feature=\"loss\"} "
                        "0.25\n"));
  EXPECT_THAT(page, HasSubstr("attune_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_snapshot_up 1\n"));
}

TEST(Metrics, CountsWhatItIsTold) {
  Metrics metrics("v", [] { return Result<Snapshot>(Snapshot()); });
  metrics.OnJobPlaced(3);
  metrics.OnWindow("failed");
  StepSample step;
  step.tokens = 128;
  step.forward = 0.2;
  metrics.OnStepApplied(step);
  metrics.OnStepApplied(step);
  metrics.OnStall();
  metrics.OnAttemptLost("worker");
  metrics.OnAttemptLost("something new");
  metrics.OnLate(1.5);
  metrics.OnJobEnded("TRAIN", "FAILED");
  metrics.OnJobEnded("EVALUATE", "SUCCEEDED");
  metrics.OnCommitFailed();
  std::string page = metrics.Render();
  EXPECT_THAT(page, HasSubstr("attune_queue_wait_seconds_sum 3\n"));
  EXPECT_THAT(page, HasSubstr("attune_steps_total 2\n"));
  EXPECT_THAT(page, HasSubstr("attune_tokens_total 256\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_windows_total{state=\"failed\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_drift_windows_total{state=\"measured\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("attune_stalls_total 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_attempts_lost_total{cause=\"worker\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_attempts_lost_total{cause=\"trainer\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("attune_attempts_lost_total{cause=\"other\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_late_seconds_total 1.5\n"));
  EXPECT_THAT(page, HasSubstr("attune_jobs_ended_total{state=\"FAILED\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_jobs_ended_total{state=\"CANCELLED\"} 0\n"));
  EXPECT_THAT(page,
              HasSubstr("attune_task_jobs_ended_total{kind=\"EVALUATE\",state=\"SUCCEEDED\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_task_jobs_ended_total{kind=\"EMBED\",state=\"FAILED\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("attune_commit_failures_total 1\n"));
  EXPECT_THAT(page, HasSubstr("attune_step_seconds_count{phase=\"forward\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("attune_step_seconds_count{phase=\"sync\"} 0\n"));
}

TEST(Metrics, ManyScrapesReadTheStoreOnce) {
  int reads = 0;
  Metrics metrics("v", [&] {
    ++reads;
    return Result<Snapshot>(Snapshot());
  });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) (void)metrics.Render();
  const auto seconds =
      std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  EXPECT_LE(reads, 1 + seconds.count());
}

TEST(Metrics, UnreadableStoreShowsNoStaleGauges) {
  Metrics metrics("v", [] { return Result<Snapshot>(Unavailable("locked")); });
  std::string page = metrics.Render();
  EXPECT_THAT(page, HasSubstr("attune_snapshot_up 0\n"));
  EXPECT_THAT(page, Not(HasSubstr("attune_jobs{")));
}

TEST(Metrics, BoundsTheNumberOfJobs) {
  Metrics metrics("v", [] {
    Snapshot snapshot;
    for (int i = 0; i < 1000; ++i) {
      JobSample job;
      job.id = "job-" + std::to_string(i);
      snapshot.job_samples.push_back(job);
    }
    return Result<Snapshot>(snapshot);
  });
  std::string page = metrics.Render();
  size_t series = 0;
  for (size_t at = 0; (at = page.find("attune_goodput_ratio{", at)) != std::string::npos; ++at)
    ++series;
  EXPECT_EQ(series, kActiveJobsMax + kEndedJobs);
}

TEST(Metrics, BoundsTheNumberOfSchedules) {
  Metrics metrics("v", [] {
    Snapshot snapshot;
    for (int i = 0; i < 1000; ++i) {
      ScheduleSample schedule;
      schedule.name = "schedule-" + std::to_string(i);
      snapshot.schedules.push_back(schedule);
    }
    return Result<Snapshot>(snapshot);
  });
  std::string page = metrics.Render();
  size_t series = 0;
  for (size_t at = 0; (at = page.find("attune_schedule_problem{", at)) != std::string::npos; ++at)
    ++series;
  EXPECT_EQ(series, kSchedulesMax);
}

TEST(Metrics, ServesOverHttpAndRefusesATakenPort) {
  Metrics metrics("v", [] { return Result<Snapshot>(TwoRunning()); });
  ASSERT_TRUE(metrics.Start("127.0.0.1:0").ok());
  EXPECT_THAT(metrics.address(), ::testing::StartsWith("127.0.0.1:"));
  std::string page = Fetch(metrics.address());
  EXPECT_THAT(page, HasSubstr("200 OK"));
  EXPECT_THAT(page, HasSubstr("attune_jobs{state=\"RUNNING\"} 2"));
  EXPECT_THAT(page, HasSubstr("attune_steps_total 0"));

  Metrics second("v", [] { return Result<Snapshot>(Snapshot()); });
  Status taken = second.Start(metrics.address());
  EXPECT_EQ(taken.code(), StatusCode::kUnavailable);
  EXPECT_THAT(taken.message(), HasSubstr(metrics.address()));
  metrics.Shutdown();
  EXPECT_EQ(metrics.address(), "");
  EXPECT_FALSE(second.Start("nonsense").ok());
}

}  // namespace
}  // namespace attune::metrics
