#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/gates/facts.h"
#include "common/gates/gates.h"
#include "common/spec/json.h"
#include "tools/cli/gate_view.h"
#include "tools/cli/handlers.h"

namespace attune::cli {
namespace {

constexpr std::chrono::minutes kSaveDeadline{10};

// Decides again from a file, as the coordinator did.
Result<v1::GateReport> DecideOffline(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(auto file, MappedFile::Open(path));
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  auto facts = gates::ParseFacts(bytes);
  if (!facts.ok()) return facts.status().WithContext(path);
  auto report = gates::Decide(*facts);
  if (!report.ok()) return report.status().WithContext(path);
  for (const v1::EvaluationFacts& evaluation : {facts->candidate(), facts->champion()}) {
    if (!evaluation.job_id().empty()) report->add_job_ids(evaluation.job_id());
  }
  report->set_facts_checksum(Sha256Hex(bytes));
  report->set_facts_path(path);
  return report;
}

// The facts of the report into a file. kDataLoss: they are not those of the report.
Status Save(Client& client, const v1::GateReport& report, const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Create(path));
  Sha256 hash;
  v1::GetGateReportRequest request;
  request.set_model(report.candidate());
  auto context = client.NewContext(kSaveDeadline);
  auto reader = client.models().ReadGateFacts(context.get(), request);
  v1::GateFactsChunk chunk;
  while (reader->Read(&chunk)) {
    hash.Update(chunk.data());
    Status written = file.Append(chunk.data());
    if (written.ok()) continue;
    context->TryCancel();
    (void)reader->Finish();
    return written;
  }
  grpc::Status ended = reader->Finish();
  if (!ended.ok()) return client.Explain(ended);
  if (!report.facts_checksum().empty() && hash.Hex() != report.facts_checksum()) {
    return DataLoss("the facts that came are not those of the report (checksum " +
                    report.facts_checksum() + "): nothing was written to " + path);
  }
  return file.Commit();
}

}  // namespace

void AddGateCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "model",
       .verb = "gates",
       .summary = "show what the gates said of a candidate, and why",
       .details =
           "Every gate's value, its one-sided bounds and its limit, and what was forgotten. Exit 0 "
           "when the verdict is passed, else 1. --save keeps all that the verdict followed from, "
           "and --facts decides again from such a file, without a coordinator. docs/gates.md "
           "explains the numbers.",
       .arguments = {{.name = "MODEL",
                      .doc = "The candidate: NAME@VERSION or NAME (newest). None with --facts.",
                      .completes = Completes::kModel}},
       .options = {{.name = "--examples", .doc = "Show the examples that decided each gate."},
                   {.name = "--save",
                    .value = "FILE",
                    .doc = "Write the facts to a file.",
                    .completes = Completes::kFile},
                   {.name = "--facts",
                    .value = "FILE",
                    .doc = "Decide again from a file of facts.",
                    .completes = Completes::kFile}},
       .examples = {"attune model gates docstrings@5 --examples",
                    "attune model gates docstrings@5 --save docstrings-5.facts",
                    "attune model gates --facts docstrings-5.facts -o json"},
       .run = RunModelGates});
}

Result<int> RunModelGates(Session& session, const Arguments& arguments) {
  const std::string model = arguments.Get("MODEL"), facts = arguments.Get("--facts");
  if (model.empty() == facts.empty()) {
    return InvalidArgument("name a MODEL, or a file with --facts FILE, and not both");
  }
  v1::GateReport report;
  if (!facts.empty()) {
    if (arguments.Has("--save")) return InvalidArgument("--save needs a MODEL");
    ATTUNE_ASSIGN_OR_RETURN(report, DecideOffline(facts));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
    v1::GetGateReportRequest request;
    request.set_model(model);
    ATTUNE_ASSIGN_OR_RETURN(
        report, client->Call(client->models(), &v1::ModelService::Stub::GetGateReport, request));
    if (std::string path = arguments.Get("--save"); !path.empty()) {
      ATTUNE_RETURN_IF_ERROR(Save(*client, report, path));
      session.Say("facts written to " + path);
    }
  }
  const ViewOptions view{.now = session.io().clock->Now(),
                         .width = session.printer().width(),
                         .color = session.printer().color()};
  session.printer().Object(spec::ToJson(report), report.candidate(),
                           GateReportCard(report, arguments.Has("--examples"), view));
  return report.verdict() == v1::GateReport::PASSED ? kExitOk : kExitFailed;
}

}  // namespace attune::cli
