#pragma once

// What the command table calls. One function per command; grouped by the file that holds them.

#include "tools/cli/command.h"
#include "tools/cli/session.h"

namespace attune::cli {

// registry_table.cc: a part of the command table.
void AddRegistryCommands(std::vector<Command>* commands);

// cluster_commands.cc
Result<int> RunUp(Session&, const Arguments&);
Result<int> RunDown(Session&, const Arguments&);
// cluster_status.cc
Result<int> RunStatus(Session&, const Arguments&);
Result<int> RunNodeList(Session&, const Arguments&);
// doctor.cc
Result<int> RunDoctor(Session&, const Arguments&);
// meta_commands.cc
Result<int> RunVersion(Session&, const Arguments&);
Result<int> RunCompletion(Session&, const Arguments&);
Result<int> RunHelp(Session&, const Arguments&);
// job_submit.cc
Result<int> RunJobSubmit(Session&, const Arguments&);
// job_commands.cc
Result<int> RunJobList(Session&, const Arguments&);
Result<int> RunJobShow(Session&, const Arguments&);
Result<int> RunJobWatch(Session&, const Arguments&);
Result<int> RunJobCancel(Session&, const Arguments&);
Result<int> RunJobPause(Session&, const Arguments&);
Result<int> RunJobResume(Session&, const Arguments&);
Result<int> RunJobWhy(Session&, const Arguments&);
Result<int> RunJobExplain(Session&, const Arguments&);
// job_streams.cc
Result<int> RunJobMetrics(Session&, const Arguments&);
Result<int> RunJobLogs(Session&, const Arguments&);
// job_ledger.cc
Result<int> RunJobLedger(Session&, const Arguments&);
// dataset_dropped.cc
void AddDatasetDroppedCommand(std::vector<Command>* commands);  // a part of the command table
// dataset_commands.cc
Result<int> RunDatasetImport(Session&, const Arguments&);
Result<int> RunDatasetList(Session&, const Arguments&);
Result<int> RunDatasetShow(Session&, const Arguments&);
Result<int> RunDatasetExplain(Session&, const Arguments&);
// dataset_versions.cc
void AddDatasetVersionCommands(std::vector<Command>* commands);  // a part of the command table
// data_check.cc
void AddDataCheckCommand(std::vector<Command>* commands);  // a part of the command table
// model_commands.cc
Result<int> RunModelImport(Session&, const Arguments&);
Result<int> RunModelList(Session&, const Arguments&);
Result<int> RunModelShow(Session&, const Arguments&);
// gate_commands.cc
void AddGateCommands(std::vector<Command>* commands);  // a part of the command table
Result<int> RunModelGates(Session&, const Arguments&);
// model_evaluate.cc
Result<int> RunModelEvaluate(Session&, const Arguments&);
// alias_commands.cc
Result<int> RunModelPromote(Session&, const Arguments&);
Result<int> RunModelRollback(Session&, const Arguments&);
Result<int> RunModelUnalias(Session&, const Arguments&);
Result<int> RunModelAliases(Session&, const Arguments&);
Result<int> RunModelHistory(Session&, const Arguments&);
// model_records.cc
Result<int> RunModelPrune(Session&, const Arguments&);
Result<int> RunModelCard(Session&, const Arguments&);
Result<int> RunModelLineage(Session&, const Arguments&);
// model_tasks.cc
Result<int> RunModelExport(Session&, const Arguments&);
Result<int> RunModelGenerate(Session&, const Arguments&);
// drift_commands.cc
Result<int> RunDriftApply(Session&, const Arguments&);
Result<int> RunDriftObserve(Session&, const Arguments&);
Result<int> RunDriftList(Session&, const Arguments&);
Result<int> RunDriftShow(Session&, const Arguments&);
Result<int> RunDriftClose(Session&, const Arguments&);
Result<int> RunDriftExclude(Session&, const Arguments&);
Result<int> RunDriftInclude(Session&, const Arguments&);
Result<int> RunDriftDelete(Session&, const Arguments&);
Result<int> RunDriftExplain(Session&, const Arguments&);
void AddDriftCommands(std::vector<Command>* commands);  // their part of the table
// schedule_commands.cc
Result<int> RunScheduleApply(Session&, const Arguments&);
Result<int> RunScheduleList(Session&, const Arguments&);
Result<int> RunScheduleShow(Session&, const Arguments&);
Result<int> RunScheduleNext(Session&, const Arguments&);
Result<int> RunScheduleTrigger(Session&, const Arguments&);
Result<int> RunScheduleHistory(Session&, const Arguments&);
Result<int> RunScheduleUpdate(Session&, const Arguments&);
Result<int> RunScheduleCancel(Session&, const Arguments&);
Result<int> RunSchedulePause(Session&, const Arguments&);
Result<int> RunScheduleResume(Session&, const Arguments&);
Result<int> RunScheduleDelete(Session&, const Arguments&);
Result<int> RunScheduleExplain(Session&, const Arguments&);

}  // namespace attune::cli
