#include "worker/engine/data/objective_kind.h"

#include <array>
#include <set>
#include <utility>

#include "common/model/adapter_labels.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {
namespace {

constexpr std::array<std::pair<const char*, ObjectiveKind>, 6> kNames = {{
    {"causal-lm", ObjectiveKind::kCausalLm},
    {"seq2seq", ObjectiveKind::kSeq2seq},
    {"masked-lm", ObjectiveKind::kMaskedLm},
    {"classification", ObjectiveKind::kClassification},
    {"embedding", ObjectiveKind::kEmbedding},
    {"preference", ObjectiveKind::kPreference},
}};

std::optional<ObjectiveKind> FindKind(const std::string& name) {
  for (const auto& [known, kind] : kNames) {
    if (name == known) return kind;
  }
  return std::nullopt;
}

// What a base with this head is made for.
const char* MadeFor(HeadKind head) {
  switch (head) {
    case HeadKind::kNextToken:
      return "causal-lm";
    case HeadKind::kMaskedToken:
      return "masked-lm";
    case HeadKind::kAnswer:
      return "seq2seq";
    case HeadKind::kLabels:
      return "classification";
    case HeadKind::kNone:
      return "embedding";
  }
  return "";
}

bool CanLearn(HeadKind head, ObjectiveKind kind) {
  switch (kind) {
    case ObjectiveKind::kCausalLm:
    case ObjectiveKind::kPreference:
      return head == HeadKind::kNextToken;
    case ObjectiveKind::kSeq2seq:
      return head == HeadKind::kAnswer;
    case ObjectiveKind::kMaskedLm:
      return head == HeadKind::kMaskedToken;
    case ObjectiveKind::kClassification:
      return head != HeadKind::kAnswer;
    case ObjectiveKind::kEmbedding:
      return head == HeadKind::kNone;
  }
  return false;
}

const char* Needs(ObjectiveKind kind) {
  switch (kind) {
    case ObjectiveKind::kSeq2seq:
      return "an encoder-decoder, such as T5";
    case ObjectiveKind::kMaskedLm:
      return "a model of masked tokens, such as BertForMaskedLM";
    case ObjectiveKind::kEmbedding:
      return "an encoder without a head, such as BertModel";
    case ObjectiveKind::kClassification:
      return "BERT or a decoder";
    default:
      return "a decoder, such as Llama";
  }
}

Status CheckLabels(const Objective& objective, const std::string& base) {
  if (objective.labels.size() < 2) {
    return InvalidArgument("task.labels must name two labels or more: " + base +
                           " is no classifier, which would say them")
        .WithField("task.labels");
  }
  std::set<std::string> seen;
  for (const std::string& label : objective.labels) {
    if (!seen.insert(label).second) {
      return InvalidArgument("task.labels has \"" + label + "\" twice").WithField("task.labels");
    }
  }
  return Status();
}

// An adapter goes on with what it was made for.
Status CheckAdapterLabels(const Objective& objective, const ModelFiles& base,
                          const std::vector<std::string>& own,
                          const std::vector<std::string>& of_base) {
  const bool classifies = objective.type == "classification";
  if (base.format != "peft-adapter" || !own.empty() || !classifies) return Status();
  if (objective.labels == of_base) return Status();
  return InvalidArgument("base: " + base.reference +
                         " is an adapter that was not made to classify: export it with --merge, "
                         "import the result, and train a classifier of that")
      .WithField("base");
}

}  // namespace

ObjectiveKind KindOf(const Objective& objective) {
  const auto kind = FindKind(objective.type);
  ATTUNE_CHECK(kind.has_value());
  return *kind;
}

Result<Objective> ResolveObjective(Objective objective, const ModelConfig* config,
                                   const std::string& base) {
  const HeadKind head = config == nullptr ? HeadKind::kNextToken : config->head;
  if (objective.type == "auto") objective.type = MadeFor(head);
  const auto kind = FindKind(objective.type);
  if (!kind) {
    return InvalidArgument("task.type is \"" + objective.type + "\", which is not known")
        .WithField("task.type");
  }
  if (!CanLearn(head, *kind)) {
    return InvalidArgument("task.type " + objective.type + " needs " + Needs(*kind) + "; " + base +
                           " is " + (config == nullptr ? "a decoder" : config->architecture) +
                           ", which can learn " + MadeFor(head))
        .WithField("task.type");
  }
  if (*kind != ObjectiveKind::kClassification) return objective;
  if (objective.labels.empty() && config != nullptr) objective.labels = config->labels;
  ATTUNE_RETURN_IF_ERROR(CheckLabels(objective, base));
  return objective;
}

Result<Objective> ResolveObjective(Objective objective, const ModelFiles& base) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelFiles* root, RootModel(base));
  std::vector<std::string> labels;  // of an adapter that classifies
  if (base.format == "peft-adapter") {
    if (auto own = LabelsOfAdapter(base.path); own.ok()) labels = std::move(*own);
  }
  if (labels.empty() && root->format == "gguf") {
    return ResolveObjective(std::move(objective), nullptr, root->reference);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadModelConfig(root->path));
  auto config = ParseModelConfig(json, root->path.string() + ": config.json");
  if (config.ok()) config = WithLabels(*config, labels);
  // What is wrong with its files is told when the model is loaded.
  ATTUNE_ASSIGN_OR_RETURN(
      objective,
      ResolveObjective(std::move(objective), config.ok() ? &*config : nullptr, base.reference));
  ATTUNE_RETURN_IF_ERROR(
      CheckAdapterLabels(objective, base, labels, config.ok() ? config->labels : labels));
  return objective;
}

int SequenceCapacity(ObjectiveKind kind, int sequence_length) {
  switch (kind) {
    case ObjectiveKind::kCausalLm:
    case ObjectiveKind::kMaskedLm:
      return sequence_length;
    case ObjectiveKind::kClassification:
      return sequence_length + 1;  // the label
    case ObjectiveKind::kSeq2seq:
    case ObjectiveKind::kPreference:
      return 2 * sequence_length;
    case ObjectiveKind::kEmbedding:
      return 3 * sequence_length;  // with one that does not belong
  }
  return sequence_length;
}

}  // namespace attune::engine
