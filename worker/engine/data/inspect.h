#pragma once

// Whether a job's data can teach what it is meant to, told from its tokens and from a few of its
// rows. No torch here.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/dataset_work.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/data_check.h"

namespace attune::engine {

// All that is told of prepared data and its plan. Reads ids and targets of every example. work: of
// the task; step_tokens: of each step.
Result<DataCheck> Inspect(const PrepareTask& task, const Work& work, const PreparedData& data,
                          std::vector<int64_t> step_tokens);

struct EndCounts {
  int64_t whole = 0, learned = 0;  // as DataCheck has them
};
// end_ids: tokens that end a generation.
EndCounts CountEnds(const TokenShard& shard, const std::vector<uint32_t>& end_ids,
                    int sequence_length);

// Why a job with such data is refused; empty when it is not.
std::string EndProblem(const EndCounts& ends, const TrainOptions& train);

}  // namespace attune::engine
