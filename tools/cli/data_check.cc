#include "common/spec/job_spec.h"
#include "tools/cli/data_check_view.h"
#include "tools/cli/handlers.h"
#include "tools/cli/task_job.h"

namespace attune::cli {
namespace {

// A job of a data set and a model, all else as it is by default.
Result<v1::SubmitJobRequest> JobOf(const std::string& dataset, const std::string& base,
                                   const std::vector<std::string>& settings) {
  std::vector<std::string> all = {"base=" + base, "dataset=" + dataset, "name=check"};
  all.insert(all.end(), settings.begin(), settings.end());
  v1::SubmitJobRequest request;
  request.set_spec_source("method: lora\n");
  ATTUNE_ASSIGN_OR_RETURN(*request.mutable_spec(),
                          spec::ParseJobSpec(request.spec_source(), "dataset check", all));
  return request;
}

Result<v1::SubmitJobRequest> ReadRequest(Session& session, const Arguments& arguments) {
  const std::string dataset = arguments.Get("DATASET");
  if (arguments.Has("--job") == !dataset.empty()) {
    return InvalidArgument("name a data set with --base MODEL, or a job spec with --job FILE");
  }
  if (arguments.Has("--job")) {
    return ReadJobSpec(session, arguments.Get("--job"), arguments.All("--set"));
  }
  if (!arguments.Has("--base")) {
    return InvalidArgument("--base MODEL is needed: tokens and chat template are a model's");
  }
  return JobOf(dataset, arguments.Get("--base"), arguments.All("--set"));
}

Result<int> RunDatasetCheck(Session& session, const Arguments& arguments) {
  const double samples = arguments.Number("--samples");
  ATTUNE_ASSIGN_OR_RETURN(v1::SubmitJobRequest request, ReadRequest(session, arguments));
  const v1::JobSpec spec = request.spec();
  ATTUNE_ASSIGN_OR_RETURN(const auto plan, PlanJob(session, std::move(request)));
  if (!plan.contains("check")) {
    return FailedPrecondition("the workers are of an older version, which does not check data");
  }
  session.printer().Object(plan, spec.name(),
                           DataCheckCard(plan, spec, static_cast<int>(samples),
                                         {.now = session.io().clock->Now(),
                                          .width = session.printer().width(),
                                          .color = session.printer().color()}));
  return HasProblem(plan) ? kExitFailed : kExitOk;
}

}  // namespace

void AddDataCheckCommand(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "dataset",
       .verb = "check",
       .summary = "check what a job would learn of its data, before it takes a GPU",
       .details =
           "Tokenizes the data (what was tokenized stays so for the job) and says: which share of "
           "the tokens is learned, how many examples are cut, whether they teach the model to "
           "stop, whether the model is served what it was trained on, which training examples "
           "validation has too, how even the steps are, and what is learned of the first examples. "
           "Exit 1 when a job with such data is refused.",
       .arguments = {{.name = "DATASET",
                      .doc = "NAME (newest version) or NAME@VERSION; with --base.",
                      .completes = Completes::kDataset}},
       .options = {{.name = "--base",
                    .value = "MODEL",
                    .doc = "The model whose tokenizer and chat template are used.",
                    .completes = Completes::kModel},
                   {.name = "--job",
                    .value = "FILE",
                    .doc = "Check the data of this job spec instead; - is standard input.",
                    .completes = Completes::kFile},
                   {.name = "--set",
                    .value = "KEY=VALUE",
                    .doc = "Set a key of the job spec, such as train.sequence_length=512.",
                    .repeated = true},
                   {.name = "--samples",
                    .value = "N",
                    .doc = "Show so many examples with what is learned of them, at most 3.",
                    .type = ValueType::kWhole,
                    .fallback = "1"}},
       .examples = {"attune dataset check stdlib-docs --base smollm2",
                    "attune dataset check --job configs/jobs/docstrings.yaml --samples 3"},
       .run = RunDatasetCheck});
}

}  // namespace attune::cli
