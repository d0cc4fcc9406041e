#include "worker/engine/data/dataset_work.h"

#include <set>

#include "common/model/model_config.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/data/token_cache.h"
#include "worker/engine/formats/weights.h"

namespace attune::engine {
namespace {

// Added tokens that were never given a row of the embedding are common; a tokenizer that is larger
// by more than these is another model's.
constexpr int64_t kAddedTokensMax = 256;

// Before anything is tokenized; what else is wrong with a configuration is told when the model is
// loaded.
Status CheckLength(const PrepareTask& task) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelFiles* root, RootModel(task.base));
  const Result<std::string> json = ReadModelConfig(root->path);
  if (!json.ok()) return Status();
  const Result<ModelConfig> config = ParseModelConfig(*json, root->reference);
  if (!config.ok()) return Status();
  return CheckSequenceLength(task.train.sequence_length, config->max_positions,
                             task.base.reference);
}

Result<TokenizeOptions> MakeOptions(const PrepareTask& task) {
  if (task.train.sequence_length < 2) {
    return InvalidArgument("sequence_length must be at least 2").WithField("train.sequence_length");
  }
  if (task.train.loss_on != "targets" && task.train.loss_on != "all") {
    return InvalidArgument("loss_on must be \"targets\" or \"all\", not \"" + task.train.loss_on +
                           "\"")
        .WithField("train.loss_on");
  }
  TokenizeOptions options;
  ATTUNE_ASSIGN_OR_RETURN(options.objective, ResolveObjective(task.objective, task.base));
  ATTUNE_ASSIGN_OR_RETURN(options.assets, LoadModelText(task.base));
  ATTUNE_ASSIGN_OR_RETURN(options.vocabulary_size, ModelVocabularySize(task.base));
  options.loss_on_all = task.train.loss_on == "all";
  options.sequence_length = static_cast<size_t>(task.train.sequence_length);
  int64_t tokens = options.assets.tokenizer->vocabulary_size();
  if (tokens > options.vocabulary_size + kAddedTokensMax) {
    return InvalidArgument("model " + task.base.reference + ": the tokenizer has " +
                           std::to_string(tokens) + " tokens, the model's vocabulary " +
                           std::to_string(options.vocabulary_size) +
                           ": the tokenizer does not belong to the model");
  }
  ATTUNE_RETURN_IF_ERROR(CheckLength(task));
  return options;
}

}  // namespace

int64_t Part::examples() const {
  return static_cast<int64_t>(version.Examples("train") + version.Examples("validation"));
}

Result<Work> MakeWork(const PrepareTask& task) {
  if (task.datasets.empty()) return InvalidArgument("there is no dataset").WithField("dataset");
  Work work;
  ATTUNE_ASSIGN_OR_RETURN(work.options, MakeOptions(task));
  for (const DatasetFiles& dataset : task.datasets) {
    Part part;
    part.dataset = &dataset;
    auto version = ReadManifest(dataset);
    if (!version.ok()) return version.status().WithContext("dataset " + dataset.reference);
    part.version = std::move(*version);
    part.key = DatasetTokensKey(part.version.checksum, work.options);
    work.parts.push_back(std::move(part));
  }
  return work;
}

bool IsTokenized(const DatasetShard& shard) {
  return shard.examples > 0 && (shard.split == "train" || shard.split == "validation");
}

Shards ShardsOf(const Work& work) {
  Shards shards;
  for (const Part& part : work.parts) {
    for (const DatasetShard& shard : part.version.shards) {
      if (IsTokenized(shard)) shards.emplace(TokenCache::NameOf(shard), &shard);
    }
  }
  return shards;
}

// In the order of the manifests.
std::vector<const DatasetShard*> InOrder(const Work& work) {
  std::vector<const DatasetShard*> order;
  std::set<std::string> seen;
  for (const Part& part : work.parts) {
    for (const DatasetShard& shard : part.version.shards) {
      if (IsTokenized(shard) && seen.insert(TokenCache::NameOf(shard)).second) {
        order.push_back(&shard);
      }
    }
  }
  return order;
}

}  // namespace attune::engine
