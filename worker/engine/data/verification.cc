#include "worker/engine/data/verification.h"

#include <memory>

namespace attune::engine {
namespace {

Shards PartOf(const Shards& shards, int rank, int world_size) {
  Shards part;
  int place = 0;
  for (const auto& shard : shards) {
    if (place++ % world_size == rank) part.insert(shard);
  }
  return part;
}

uint64_t Examples(const Shards& shards) {
  uint64_t examples = 0;
  for (const auto& [name, shard] : shards) examples += shard->examples;
  return examples;
}

}  // namespace

Verification::Verification(const PrepareTask& task, const Shards& shards, Observer* observer)
    : mine_(PartOf(shards, task.rank, task.world_size)),
      report_("verifying", Examples(shards), Examples(mine_), observer) {}

Status Verification::Run(CachedShards* cached, std::set<std::string>* damaged) {
  for (const auto& [name, shard] : mine_) {
    if (whole_.contains(name)) continue;
    ATTUNE_RETURN_IF_ERROR(report_(done_, done_));
    const std::shared_ptr<const TokenFile> file = cached->at(name).tokens;
    const Status status = file->CheckExamples();
    file->Release();
    if (status.ok()) {
      whole_.insert(name);
      done_ += shard->examples;
    } else {
      cached->erase(name);
      damaged->insert(name);
    }
  }
  return report_(done_, done_);
}

}  // namespace attune::engine
