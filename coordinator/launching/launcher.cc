#include "coordinator/launching/launcher.h"

namespace attune::launching {

void WorkerLauncher::Start(const std::string& node, const v1::StartTrainer& start) {
  v1::WorkerCommand command;
  *command.mutable_start() = start;
  link_->Send(node, command);
}

void WorkerLauncher::Stop(const std::string& node, const v1::StopTrainer& stop) {
  v1::WorkerCommand command;
  *command.mutable_stop() = stop;
  link_->Send(node, command);
}

}  // namespace attune::launching
