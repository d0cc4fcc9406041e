#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "attune/v1/datasets.grpc.pb.h"
#include "attune/v1/jobs.grpc.pb.h"
#include "attune/v1/models.grpc.pb.h"
#include "attune/v1/nodes.grpc.pb.h"
#include "attune/v1/schedules.grpc.pb.h"
#include "common/base/mutex.h"

namespace attune::cli {

// Answers as a coordinator would, out of what a test puts in. Fields are set before Start or while
// no call runs.
class FakeCoordinator {
 public:
  FakeCoordinator();
  ~FakeCoordinator();

  const std::string& address() const { return address_; }
  void Stop();     // as kill -9 does
  void Restart();  // on the same port

  std::map<std::string, v1::Job> jobs;
  std::vector<v1::JobEvent> events;     // of every watched job, filtered by after_sequence
  size_t break_watch_after = SIZE_MAX;  // the first watch fails after so many events
  std::vector<v1::MetricPoint> metrics;
  std::vector<v1::LogChunk> logs;
  v1::JobLedger ledger;                                // of every job; a list is paged by one
  std::string output;                                  // of task jobs
  std::vector<v1::OutputChunk> output_chunks;          // that come before it
  bool output_goes_on = false;                         // as of a job that has not ended
  grpc::Status refuse = grpc::Status::OK;              // of SubmitJob
  std::map<std::string, v1::GateReport> gate_reports;  // by candidate
  std::string gate_facts;                              // of every one of them
  int unavailable_submits = 0;                         // so many fail first
  int overtaken_imports = 0;                           // so many are told that another came first
  std::map<std::string, v1::ModelVersion> models;      // by the reference that is asked for
  std::vector<v1::AliasMove> moves;                    // newest first
  grpc::Status refuse_alias = grpc::Status::OK;  // of every change of an alias, and of a prune
  uint32_t alias_before = 0;                     // of every alias
  grpc::Status refuse_schedule = grpc::Status::OK;
  v1::Update update;  // that a trigger starts, and every look shows

  std::vector<v1::SubmitJobRequest> submits() const;
  std::vector<uint64_t> watch_starts() const;  // after_sequence of each WatchJob
  std::string uploaded() const;                // bytes of the last import
  v1::ImportDatasetRequest::Header import_header() const;
  std::vector<std::string> cancelled() const;
  int sleeping_watches() const;
  v1::SetAliasRequest set_alias() const;  // the last of each
  v1::RollBackAliasRequest rolled_back() const;
  v1::PruneModelsRequest pruned() const;
  v1::ApplyScheduleRequest applied() const;

 private:
  class Jobs;
  class Datasets;
  class Models;
  class Nodes;
  class Schedules;
  struct Seen;
  void Start();
  std::unique_ptr<Seen> seen_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string address_;
};

v1::Job MakeJob(const std::string& id, v1::Job::State state);
v1::JobEvent MakeEvent(uint64_t sequence, const std::string& type, const std::string& message,
                       const v1::Job& job);

}  // namespace attune::cli
