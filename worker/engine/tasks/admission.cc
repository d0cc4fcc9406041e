#include "worker/engine/tasks/admission.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "common/base/reasons.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/tasks/check.h"

namespace attune::engine {
namespace {

// Sequences shorter than this teach too little to be proposed.
constexpr int kShortestSequence = 64;

std::string GiB(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", static_cast<double>(bytes) / (1 << 30));
  return text;
}

// What the scarcest pool has for each of those that draw from it.
struct Share {
  MemoryPool pool;
  int ranks = 0;  // that draw from it
  int first = 0;  // of them
  int64_t bytes() const { return ranks == 0 ? INT64_MAX : pool.bytes / ranks; }
};

Share Scarcest(std::span<const std::vector<MemoryPool>> pools) {
  std::map<std::string, Share> shares;
  for (int rank = 0; rank < static_cast<int>(pools.size()); ++rank) {
    for (size_t i = 0; i < pools[rank].size(); ++i) {
      const MemoryPool& pool = pools[rank][i];
      const std::string own = "rank " + std::to_string(rank) + " " + std::to_string(i);
      Share& share =
          shares.try_emplace(pool.id.empty() ? own : pool.id, Share{pool, 0, rank}).first->second;
      ++share.ranks;
    }
  }
  Share least;
  for (const auto& [id, share] : shares) {
    if (share.bytes() < least.bytes()) least = share;
  }
  return least;
}

// A run that might be made instead.
struct Variant {
  TrainTask task;
  int ranks = 1;
  std::vector<std::pair<std::string, std::string>> changes;  // keys of the spec, and their values

  void Set(const std::string& key, const std::string& value) { changes.emplace_back(key, value); }
};

// The largest micro-batch of a variant: as measured, but for what a change makes smaller.
MicroBatchShape BatchOf(const AdmissionFacts& facts, const Variant& variant) {
  const TrainOptions& train = variant.task.data.train;
  MicroBatchShape batch = facts.batches.Of(train.micro_batch);
  const int64_t together = static_cast<int64_t>(variant.ranks) * train.micro_batch;
  if (variant.ranks != static_cast<int>(facts.pools.size())) {
    batch.micro_batches_max = (facts.batches.sequences_max() + together - 1) / together;
  }
  if (train.sequence_length == facts.task.data.train.sequence_length) return batch;
  const auto objective = ResolveObjective(variant.task.data.objective, &facts.config, "");
  const int64_t room = objective.ok() ? SequenceCapacity(KindOf(*objective), train.sequence_length)
                                      : train.sequence_length;
  batch.tokens = std::min(batch.tokens, train.micro_batch * room);
  batch.targets = std::min(batch.targets, batch.tokens);
  batch.longest = std::min(batch.longest, room);
  return batch;
}

// Proposals for a run that needs too much, the smallest first.
class Remedies {
 public:
  explicit Remedies(const AdmissionFacts& facts)
      : facts_(facts), start_{.task = facts.task, .ranks = static_cast<int>(facts.pools.size())} {}

  // Empty when nothing of what is tried fits. error: by how much predictions may be too low.
  std::optional<std::pair<Variant, MemoryPrediction>> First(double error) const;

 private:
  using Found = std::optional<std::pair<Variant, MemoryPrediction>>;

  // The variant with another cut of its steps, or as it is; none changes the result.
  Found WithOtherCut(const Variant& variant, double error) const;
  Found WithSmallerMicroBatch(const ModelShape& model, Variant variant, double error) const;
  Found IfFits(const ModelShape& model, const Variant& variant, double error) const;
  // One change beyond the cut each, in the order of how much they change, then several.
  std::vector<Variant> Bases() const;
  // Those of ranks that share what is scarce.
  void AddFewerRanks(std::vector<Variant>& bases) const;

  const AdmissionFacts& facts_;
  const Variant start_;
};

bool ShardOptimizer(Variant& variant) {
  if (variant.ranks < 2 || variant.task.data.train.shard_optimizer) return false;
  variant.task.data.train.shard_optimizer = true;
  variant.Set("train.shard_optimizer", "true");
  return true;
}

bool TakeSmallerMethod(Variant& variant) {
  TrainTask task = variant.task;
  if (task.method.type == "full") {
    task.method = Method{.type = "lora"};
  } else if (task.method.type == "lora" && task.method.modules_to_save.empty()) {
    task.method.type = "qlora";  // what trains as a whole may not be in 4 bits
  } else {
    return false;
  }
  if (!CheckTrainTask(task, variant.ranks).ok()) return false;
  variant.task = std::move(task);
  variant.Set("method.type", variant.task.method.type);
  return true;
}

bool HalvePrecision(Variant& variant) {
  if (variant.task.data.train.precision == "bfloat16") return false;
  variant.task.data.train.precision = "bfloat16";
  variant.Set("train.precision", "bfloat16");
  return true;
}

// With every length down to the shortest. A prompt's virtual tokens stay as many.
void AddShorter(const Variant& variant, std::vector<Variant>& bases) {
  if (VirtualTokens(variant.task) > 0) return;
  for (int length = variant.task.data.train.sequence_length / 2; length >= kShortestSequence;
       length /= 2) {
    Variant shorter = variant;
    shorter.task.data.train.sequence_length = length;
    shorter.Set("train.sequence_length", std::to_string(length));
    bases.push_back(std::move(shorter));
  }
}

void Remedies::AddFewerRanks(std::vector<Variant>& bases) const {
  if (Scarcest(facts_.pools).ranks < start_.ranks) return;
  for (int ranks = start_.ranks - 1; ranks >= 1; --ranks) {
    Variant fewer = start_;
    fewer.ranks = ranks;
    fewer.Set("ranks", std::to_string(ranks));
    bases.push_back(std::move(fewer));
  }
}

std::vector<Variant> Remedies::Bases() const {
  std::vector<Variant> bases = {start_};
  if (Variant v = start_; ShardOptimizer(v)) bases.push_back(v);
  AddFewerRanks(bases);
  if (Variant v = start_; TakeSmallerMethod(v)) bases.push_back(v);
  if (Variant v = start_; HalvePrecision(v)) bases.push_back(v);
  AddShorter(start_, bases);
  Variant all = start_;
  const bool shards = ShardOptimizer(all), smaller = TakeSmallerMethod(all);
  if (shards && smaller) bases.push_back(all);
  if (HalvePrecision(all)) bases.push_back(all);
  AddShorter(all, bases);
  return bases;
}

Remedies::Found Remedies::IfFits(const ModelShape& model, const Variant& variant,
                                 double error) const {
  const MemoryPrediction need = PredictMemory(model, BatchOf(facts_, variant), variant.task,
                                              {.world_size = variant.ranks, .gpu = facts_.gpu});
  const Share share = Scarcest(std::span(facts_.pools).first(variant.ranks));
  if (static_cast<double>(need.total()) * (1 + error) > static_cast<double>(share.bytes())) {
    return std::nullopt;
  }
  return std::pair(variant, need);
}

Remedies::Found Remedies::WithSmallerMicroBatch(const ModelShape& model, Variant variant,
                                                double error) const {
  const int before = variant.task.data.train.micro_batch;
  variant.Set("train.micro_batch", "");
  for (int size = before - 1; size >= 1; --size) {
    variant.task.data.train.micro_batch = size;
    variant.changes.back().second = std::to_string(size);
    if (Found found = IfFits(model, variant, error)) return found;
  }
  return std::nullopt;
}

Remedies::Found Remedies::WithOtherCut(const Variant& variant, double error) const {
  const auto model = ShapeOf(facts_.config, variant.task.method);
  if (!model.ok()) return std::nullopt;
  if (Found found = IfFits(*model, variant, error)) return found;
  if (Found found = WithSmallerMicroBatch(*model, variant, error)) return found;
  const TrainOptions& train = variant.task.data.train;
  if (train.activation_checkpointing && train.checkpointed_layers == 0) return std::nullopt;
  Variant again = variant;
  again.task.data.train.activation_checkpointing = true;
  again.task.data.train.checkpointed_layers = 0;
  if (train.activation_checkpointing) {
    again.Set("train.checkpointed_layers", "0");
  } else {
    again.Set("train.activation_checkpointing", "true");
  }
  if (Found found = IfFits(*model, again, error)) return found;
  return WithSmallerMicroBatch(*model, again, error);
}

Remedies::Found Remedies::First(double error) const {
  for (const Variant& base : Bases()) {
    if (Found found = WithOtherCut(base, error)) return found;
  }
  return std::nullopt;
}

// "3.02 GiB a rank (weights 0.50, ...)".
std::string NeedText(const MemoryPrediction& need) {
  std::string parts;
  for (const auto& [name, bytes] :
       {std::pair("weights", need.weights), std::pair("gradients", need.gradients),
        std::pair("optimizer", need.optimizer), std::pair("regularize", need.regularize),
        std::pair("activations", need.activations), std::pair("process", need.overhead)}) {
    if (bytes > 0) parts += (parts.empty() ? "" : ", ") + std::string(name) + " " + GiB(bytes);
  }
  return GiB(need.total()) + " GiB a rank (" + parts + ")";
}

std::string ShareText(const Share& share) {
  const std::string amount = GiB(share.pool.bytes) + " GiB (" + share.pool.name + ")";
  return share.ranks == 1 ? "rank " + std::to_string(share.first) + " has " + amount
                          : std::to_string(share.ranks) + " ranks share " + amount;
}

}  // namespace

Result<Admission> Admit(const AdmissionFacts& facts) {
  Admission admission;
  const auto ranks = static_cast<int>(facts.pools.size());
  ATTUNE_ASSIGN_OR_RETURN(const ModelShape model, ShapeOf(facts.config, facts.task.method));
  admission.need = PredictMemory(model, facts.batches.Of(facts.task.data.train.micro_batch),
                                 facts.task, {.world_size = ranks, .gpu = facts.gpu});
  const Share share = Scarcest(facts.pools);
  const auto need = static_cast<double>(admission.need.total());
  const auto room = static_cast<double>(share.bytes());
  if (need * (1 + kPredictionError) <= room) return admission;
  const bool cannot = need > room * (1 + kSureError);
  admission.verdict = cannot ? Admission::Verdict::kCannotFit : Admission::Verdict::kMayNotFit;
  admission.message =
      std::string(kNeedsMemory) + NeedText(admission.need) + ", and " + ShareText(share);
  const Remedies remedies(facts);
  auto remedy = remedies.First(kPredictionError);
  if (!remedy && cannot) remedy = remedies.First(0);
  if (!remedy) {
    admission.field = "base";
    if (cannot) {
      admission.message +=
          ". No smaller micro-batch, method, precision or length fits: use a smaller base, or "
          "hosts with more memory";
    }
    return admission;
  }
  std::string change;
  for (const auto& [key, value] : remedy->first.changes) {
    change += (change.empty() ? ". Set " : " and ") + key + ": " + value;
  }
  admission.field = remedy->first.changes.front().first;
  admission.message += change + " (needs " + GiB(remedy->second.total()) + " GiB)";
  return admission;
}

}  // namespace attune::engine
