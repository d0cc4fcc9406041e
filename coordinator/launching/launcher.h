#pragma once

// How trainers come to be and end. Calls return at once and may be lost on the way: that a trainer
// runs is known when it dials in, that it ended when its worker says so; both have deadlines.

#include <functional>
#include <string>

#include "attune/v1/worker.pb.h"

namespace attune::launching {

class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual void Start(const std::string& node, const v1::StartTrainer& start) = 0;
  // Stopping one that does not run (any more) does nothing.
  virtual void Stop(const std::string& node, const v1::StopTrainer& stop) = 0;
};

// Sends commands to a node's worker; drops them when it is not connected. Thread-safe, does not
// block.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void Send(const std::string& node, const v1::WorkerCommand& command) = 0;
  // Ends its stream, so that the worker dials again and registers.
  virtual void Disconnect(const std::string& node) = 0;
};

// Through attune-worker.
class WorkerLauncher final : public Launcher {
 public:
  explicit WorkerLauncher(WorkerLink* link) : link_(link) {}
  void Start(const std::string& node, const v1::StartTrainer& start) override;
  void Stop(const std::string& node, const v1::StopTrainer& stop) override;

 private:
  WorkerLink* const link_;
};

}  // namespace attune::launching
