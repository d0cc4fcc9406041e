#include "worker/trainer/translate.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <climits>
#include <nlohmann/json.hpp>

#include "common/base/reasons.h"
#include "common/base/version.h"
#include "common/ledger/example_sum.h"

namespace attune::trainer {
namespace {

std::string SpecJson(const v1::JobSpec& spec) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(spec, &json, options).ok()) return "";
  return json;
}

engine::TrainOptions ToTrainOptions(const v1::TrainSpec& spec, const Place& place) {
  engine::TrainOptions out;
  out.epochs = spec.epochs();
  out.max_steps = static_cast<int>(spec.max_steps());
  out.sequence_length = static_cast<int>(spec.sequence_length());
  out.packing = spec.packing();
  out.global_batch = static_cast<int>(spec.global_batch());
  out.micro_batch = static_cast<int>(spec.micro_batch());
  out.precision = spec.precision();
  out.seed = spec.seed();
  out.loss_on = spec.loss_on();
  out.threads = spec.threads() > 0 ? static_cast<int>(spec.threads()) : place.threads;
  out.activation_checkpointing = spec.activation_checkpointing();
  out.checkpointed_layers =
      static_cast<int>(std::min<uint32_t>(spec.checkpointed_layers(), INT_MAX));
  out.require_end = spec.require_end();
  out.max_tokens = static_cast<int64_t>(std::min<uint64_t>(spec.max_tokens(), INT64_MAX));
  out.max_seconds = static_cast<int>(std::min<uint32_t>(spec.max_seconds(), INT_MAX));
  out.ema_decay = spec.ema_decay();
  out.shard_optimizer = spec.shard_optimizer();
  return out;
}

engine::Method ToMethod(const v1::MethodSpec& spec) {
  engine::Method out;
  out.type = spec.type();
  out.rank = static_cast<int>(spec.rank());
  out.alpha = spec.alpha();
  out.dropout = spec.dropout();
  out.rank_stabilized = spec.rank_stabilized();
  if (spec.target_modules_size() > 0) {
    out.target_modules = {spec.target_modules().begin(), spec.target_modules().end()};
  }
  out.layers = {spec.layers().begin(), spec.layers().end()};
  out.dora = spec.dora();
  if (!spec.bias().empty()) out.bias = spec.bias();  // absent in jobs of before there was one
  if (spec.virtual_tokens() > 0) out.virtual_tokens = static_cast<int>(spec.virtual_tokens());
  out.init_text = spec.init_text();
  out.modules_to_save = {spec.modules_to_save().begin(), spec.modules_to_save().end()};
  return out;
}

engine::OptimizerOptions ToOptimizerOptions(const v1::OptimizerSpec& spec) {
  engine::OptimizerOptions out;
  out.name = spec.name();
  out.learning_rate = spec.learning_rate();
  out.weight_decay = spec.weight_decay();
  if (spec.betas_size() == 2) {
    out.beta1 = spec.betas(0);
    out.beta2 = spec.betas(1);
  }
  if (spec.epsilon() > 0) out.epsilon = spec.epsilon();  // of those that have one
  out.momentum = spec.momentum();
  out.schedule = spec.schedule();
  out.warmup_steps = static_cast<int>(spec.warmup_steps());
  out.clip_norm = spec.clip_norm();
  return out;
}

engine::Objective ToObjective(const v1::TaskSpec& spec) {
  engine::Objective out;
  if (spec.type().empty()) return out;  // absent in jobs of before there was one
  out.type = spec.type();
  out.labels = {spec.labels().begin(), spec.labels().end()};
  // Those of other tasks are absent; with "auto" all are.
  if (spec.beta() > 0) out.beta = spec.beta();
  if (spec.mask_share() > 0) out.mask_share = spec.mask_share();
  if (spec.scale() > 0) out.scale = spec.scale();
  return out;
}

engine::RegularizeOptions ToRegularizeOptions(const v1::RegularizeSpec& spec) {
  engine::RegularizeOptions out;
  if (!spec.type().empty()) out.type = spec.type();  // absent in jobs of before there was one
  out.strength = spec.strength();
  out.fisher_examples = static_cast<int>(spec.fisher_examples());
  return out;
}

std::map<std::string, std::string> Lineage(const v1::TrainerTask& task) {
  std::string datasets;
  for (const auto& dataset : task.datasets()) {
    datasets +=
        (datasets.empty() ? "" : ", ") + dataset.reference() + " sha256:" + dataset.checksum();
  }
  return {{"job", task.job_id()},
          {"base", task.base().reference()},
          {"datasets", datasets},
          {"attune_version", kVersion},
          {"spec", SpecJson(task.spec())}};
}

nlohmann::ordered_json ToJson(const engine::SplitCounts& counts) {
  return {{"examples", counts.examples},
          {"truncated", counts.truncated},
          {"without_target", counts.without_target},
          {"unusable", counts.unusable}};
}

nlohmann::ordered_json ToJson(const engine::DatasetCounts& dataset) {
  return {{"reference", dataset.reference}, {"weight", dataset.weight},
          {"share", dataset.share},         {"examples_an_epoch", dataset.examples_an_epoch},
          {"train", ToJson(dataset.train)}, {"validation", ToJson(dataset.validation)}};
}

nlohmann::ordered_json ToJson(const engine::DataCheck& check) {
  nlohmann::ordered_json lengths = nlohmann::ordered_json::array();
  for (const engine::LengthBin& bin : check.lengths) {
    lengths.push_back({{"from", bin.from}, {"to", bin.to}, {"examples", bin.examples}});
  }
  nlohmann::ordered_json samples = nlohmann::ordered_json::array();
  for (const engine::MaskedExample& sample : check.samples) {
    nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
    for (const engine::MaskedText& piece : sample.pieces) {
      pieces.push_back({{"text", piece.text}, {"learned", piece.learned}});
    }
    samples.push_back({{"id", sample.id}, {"pieces", pieces}});
  }
  return {{"whole", check.whole},
          {"ends_learned", check.ends_learned},
          {"leaked", check.leaked},
          {"leaked_ids", check.leaked_ids},
          {"compared", check.compared},
          {"served_otherwise", check.served_otherwise},
          {"lengths", lengths},
          {"step_tokens",
           {{"min", check.step_tokens_min},
            {"median", check.step_tokens_median},
            {"max", check.step_tokens_max}}},
          {"samples", samples},
          {"problems", check.problems},
          {"warnings", check.warnings}};
}

engine::DatasetFiles ToDatasetFiles(const v1::DatasetFiles& dataset) {
  return {dataset.reference(), dataset.path(), dataset.checksum(), dataset.weight()};
}

constexpr int kAnswerTokens = 128;  // where a request leaves it open
constexpr int kEmbedTokens = 512;

int TokensOr(uint32_t tokens, int otherwise) {
  return tokens > 0 ? static_cast<int>(tokens) : otherwise;
}

// dataset: null when the coordinator sent none for it.
engine::Suite ToSuite(const v1::Suite& suite, const v1::DatasetFiles* dataset) {
  engine::Suite out;
  out.name = suite.name();
  if (dataset != nullptr) out.dataset = ToDatasetFiles(*dataset);
  if (!suite.split().empty()) out.split = suite.split();
  out.max_examples = static_cast<int>(suite.max_examples());
  for (const v1::MetricSpec& metric : suite.metrics()) {
    out.metrics.push_back({metric.name(),
                           metric.pattern(),
                           metric.schema(),
                           metric.judge(),
                           {metric.labels().begin(), metric.labels().end()}});
  }
  out.slices.assign(suite.slices().begin(), suite.slices().end());
  out.max_tokens = TokensOr(suite.max_tokens(), kAnswerTokens);
  return out;
}

}  // namespace

engine::ModelFiles ToModelFiles(const v1::ModelFiles& files) {
  engine::ModelFiles out;
  out.reference = files.reference();
  out.path = files.path();
  out.format = files.format();
  out.source = files.source();
  if (files.adapter_base_size() > 0) {
    out.base = std::make_shared<engine::ModelFiles>(ToModelFiles(files.adapter_base(0)));
  }
  return out;
}

engine::PrepareTask ToPrepareTask(const v1::TrainerTask& task, const Place& place) {
  engine::PrepareTask out;
  out.base = ToModelFiles(task.base());
  for (const auto& dataset : task.datasets()) {
    out.datasets.push_back({dataset.reference(), dataset.path(), dataset.checksum(),
                            dataset.weight(), dataset.share()});
  }
  out.token_cache = task.token_cache();
  out.train = ToTrainOptions(task.spec().train(), place);
  out.objective = ToObjective(task.spec().task());
  const engine::Membership membership = ToMembership(task, place);
  out.rank = membership.rank;
  out.world_size = membership.world_size;
  return out;
}

engine::TrainTask ToTrainTask(const v1::TrainerTask& task, const Place& place) {
  const v1::JobSpec& spec = task.spec();
  engine::TrainTask out;
  out.data = ToPrepareTask(task, place);
  out.method = ToMethod(spec.method());
  out.optimizer = ToOptimizerOptions(spec.optimizer());
  out.regularize = ToRegularizeOptions(spec.regularize());
  out.evaluate.every_steps = static_cast<int>(spec.evaluate().every_steps());
  out.evaluate.split = spec.evaluate().split();
  out.evaluate.max_examples = static_cast<int>(spec.evaluate().max_examples());
  out.evaluate.patience = static_cast<int>(std::min<uint32_t>(spec.evaluate().patience(), INT_MAX));
  out.evaluate.min_delta = spec.evaluate().min_delta();
  out.evaluate.keep_best = spec.evaluate().keep_best();
  if (!spec.evaluate().metric().empty()) out.evaluate.metric = spec.evaluate().metric();
  out.checkpoint.every_steps = static_cast<int>(spec.checkpoint().every_steps());
  out.checkpoint.keep = static_cast<int>(spec.checkpoint().keep());
  out.run_directory = task.run_directory();
  out.resume_from = out.run_directory / "checkpoints";
  out.lineage = Lineage(task);
  out.generation = task.generation();
  return out;
}

engine::GenerateTask ToGenerateTask(const v1::TrainerTask& task, const Place& place) {
  const v1::GenerateRequest& request = task.generate();
  engine::GenerateTask out;
  out.model = ToModelFiles(task.base());
  for (const v1::ModelFiles& adapter : task.adapters()) {
    out.adapters.push_back(ToModelFiles(adapter));
  }
  for (const std::string& text : request.prompts()) out.prompts.push_back({.text = text});
  for (const v1::GeneratePrompt& input : request.inputs()) {
    out.prompts.push_back({input.text(), input.messages(), input.tools(), input.adapter()});
  }
  out.system = request.system();
  out.precision = request.precision();
  out.max_tokens = static_cast<int>(request.max_tokens());
  out.temperature = request.temperature();
  out.top_p = request.top_p() > 0 ? request.top_p() : 1;
  out.top_k = static_cast<int>(std::min<uint32_t>(request.top_k(), INT_MAX));
  out.seed = request.seed();
  out.raw = request.raw();
  out.stop = {request.stop().begin(), request.stop().end()};
  out.stream = request.stream();
  if (request.batch() > 0)
    out.batch = static_cast<int>(std::min<uint32_t>(request.batch(), INT_MAX));
  out.threads = place.threads;
  out.device = place.device;
  return out;
}

engine::ExportTask ToExportTask(const v1::TrainerTask& task) {
  engine::ExportTask out;
  out.generation = task.generation();
  out.model = ToModelFiles(task.base());
  out.folder = task.export_().folder();
  out.merge = task.export_().merge();
  out.dtype = task.export_().dtype();
  for (const auto& dataset : task.datasets()) out.datasets.push_back(ToDatasetFiles(dataset));
  return out;
}

engine::EvaluateTask ToEvaluateTask(const v1::TrainerTask& task, const Place& place) {
  const v1::EvaluateRequest& request = task.evaluate();
  engine::EvaluateTask out;
  out.model = ToModelFiles(task.base());
  for (int i = 0; i < request.suites_size(); ++i) {
    out.suites.push_back(
        ToSuite(request.suites(i), i < task.datasets_size() ? &task.datasets(i) : nullptr));
  }
  for (const v1::SmokePrompt& smoke : request.smoke()) {
    out.smoke.push_back({smoke.prompt(), smoke.must_match(), smoke.must_not_match(),
                         TokensOr(smoke.max_tokens(), kAnswerTokens)});
  }
  out.merge = request.merge();
  out.dtype = request.dtype();
  out.run_directory = task.run_directory();
  out.judges = MakeJudges(place.judges);
  out.threads = place.threads;
  out.device = place.device;
  return out;
}

engine::EmbedTask ToEmbedTask(const v1::TrainerTask& task, const Place& place) {
  const v1::EmbedRequest& request = task.embed();
  engine::EmbedTask out;
  out.model = ToModelFiles(task.base());
  if (task.datasets_size() > 0) out.dataset = ToDatasetFiles(task.datasets(0));
  if (!request.split().empty()) out.split = request.split();
  out.max_examples = static_cast<int>(request.max_examples());
  out.max_tokens = TokensOr(request.max_tokens(), kEmbedTokens);
  out.threads = place.threads;
  out.device = place.device;
  return out;
}

engine::Membership ToMembership(const v1::TrainerTask& task, const Place& place) {
  engine::Membership out;
  out.rank = static_cast<int>(task.rank());
  out.world_size = std::max(1, static_cast<int>(task.world_size()));
  out.device = place.device;
  out.memory_limit = place.memory_limit;
  return out;
}

v1::MetricPoint ToMetricPoint(const engine::StepReport& step, const v1::TrainerTask& task) {
  v1::MetricPoint out;
  out.set_step(static_cast<uint32_t>(step.step));
  out.set_loss(step.loss);
  out.set_tokens(static_cast<uint32_t>(step.tokens));
  out.set_target_tokens(static_cast<uint32_t>(step.target_tokens));
  out.set_learning_rate(step.learning_rate);
  out.set_grad_norm(step.grad_norm);
  if (step.penalty) out.set_penalty(*step.penalty);
  if (step.accuracy) out.set_accuracy(*step.accuracy);
  out.set_seconds(step.seconds);
  if (step.predicted_memory > 0) {
    out.set_predicted_memory(static_cast<uint64_t>(step.predicted_memory));
  }
  if (step.peak_memory > 0) out.set_peak_memory(static_cast<uint64_t>(step.peak_memory));
  out.set_examples(step.examples);
  out.set_examples_digest(ledger::DigestText(step.examples_digest));
  out.set_ranks(task.world_size());
  out.set_generation(task.generation());
  out.set_seconds_data(step.seconds_data);
  out.set_seconds_forward(step.seconds_forward);
  out.set_seconds_backward(step.seconds_backward);
  out.set_seconds_sync(step.seconds_sync);
  out.set_seconds_optimizer(step.seconds_optimizer);
  return out;
}

v1::MetricPoint ToMetricPoint(const engine::EvaluationReport& evaluation,
                              const v1::TrainerTask& task) {
  v1::MetricPoint out;
  out.set_step(static_cast<uint32_t>(evaluation.step));
  out.set_validation_loss(evaluation.loss);
  out.set_validation_tokens(static_cast<uint32_t>(evaluation.target_tokens));
  if (evaluation.accuracy) out.set_validation_accuracy(*evaluation.accuracy);
  out.set_ranks(task.world_size());
  out.set_generation(task.generation());
  return out;
}

std::string ToPlanJson(const engine::PlanResult& plan, int ranks) {
  const engine::MemoryPrediction& memory = plan.memory;
  nlohmann::ordered_json datasets = nlohmann::ordered_json::array();
  for (const engine::DatasetCounts& dataset : plan.data.datasets)
    datasets.push_back(ToJson(dataset));
  nlohmann::ordered_json json = {
      {"ranks", ranks},
      {"steps", plan.steps},
      {"sequences", plan.sequences},
      {"examples", plan.examples},
      {"tokens", plan.tokens},
      {"target_tokens", plan.target_tokens},
      {"fill", plan.fill},
      {"fill_limit", plan.fill_limit},
      {"parameters", plan.parameters},
      {"trainable_parameters", plan.trainable_parameters},
      {"memory",
       {{"weights", memory.weights},
        {"gradients", memory.gradients},
        {"optimizer", memory.optimizer},
        {"regularize", memory.regularize},
        {"activations", memory.activations},
        {"overhead", memory.overhead},
        {"total", memory.total()}}},
      {"datasets", datasets},
      {"check", ToJson(plan.check)},
      {"warnings", plan.warnings},
  };
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

v1::TaskFailed::Kind ToFailureKind(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return status.message().starts_with(kNeedsMemory) ? v1::TaskFailed::NO_MEMORY
                                                        : v1::TaskFailed::INVALID;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
      return v1::TaskFailed::INVALID;
    // The coordinator has resolved every file of a task: one that is not there is not seen from
    // here.
    case StatusCode::kNotFound:
    case StatusCode::kDataLoss:
      return v1::TaskFailed::STORAGE;
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return v1::TaskFailed::PEER_LOST;
    case StatusCode::kResourceExhausted:
      return v1::TaskFailed::NO_SPACE;
    case StatusCode::kCancelled:
      return v1::TaskFailed::KIND_UNSPECIFIED;
    default:
      return v1::TaskFailed::INTERNAL;
  }
}

}  // namespace attune::trainer
