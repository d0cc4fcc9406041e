// Properties that every plan has, tried on plans made up at random. A failure prints the smallest
// example found and how to repeat it (RC_PARAMS).

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "common/base/hash.h"
#include "tests/unit/data/random_shard.h"
#include "worker/engine/data/mix.h"
#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

struct Case {
  std::vector<uint32_t> lengths, targets;
  PlanOptions options;
};

Case AnyCase() {
  Case made;
  PlanOptions& options = made.options;
  options.sequence_length = *rc::gen::inRange(2, 300);
  options.seed = *rc::gen::arbitrary<uint64_t>();
  options.packing = *rc::gen::weightedElement<bool>({{4, true}, {1, false}});
  options.global_batch = *rc::gen::inRange(1, 20);
  options.epochs = *rc::gen::elementOf(std::vector<double>{0.3, 1, 1, 1.5, 2, 3});
  options.max_steps = *rc::gen::weightedElement<int>({{3, 0}, {1, 5}, {1, 50}});
  const auto length =
      rc::gen::inRange<uint32_t>(1, static_cast<uint32_t>(options.sequence_length) + 1);
  made.lengths = *rc::gen::nonEmpty(rc::gen::container<std::vector<uint32_t>>(length));
  for (const uint32_t each : made.lengths) made.targets.push_back((each + 1) / 2);
  return made;
}

std::shared_ptr<const StepPlan> PlanOf(const Case& made) {
  auto plan = StepPlan::Make(made.lengths, made.targets, made.options);
  RC_ASSERT(plan.ok());
  return *plan;
}

RC_GTEST_PROP(StepPlanProperty, AnEpochHasEveryExampleOnceAndNoSequenceIsTooLong, ()) {
  Case made = AnyCase();
  made.options.max_steps = 0;
  made.options.epochs = 2;
  const auto plan = PlanOf(made);
  RC_ASSERT(plan->steps() == 2 * plan->steps_an_epoch());
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int> seen(made.lengths.size(), 0);
    uint64_t sequences = 0;
    for (int s = 0; s < plan->steps_an_epoch(); ++s) {
      const PlannedStep step = plan->Step(epoch * plan->steps_an_epoch() + s);
      RC_ASSERT(!step.sequences.empty());
      RC_ASSERT(step.sequences.size() <= static_cast<size_t>(made.options.global_batch));
      sequences += step.sequences.size();
      for (const Sequence& sequence : step.sequences) {
        uint32_t tokens = 0;
        for (const uint32_t example : sequence) {
          ++seen[example];
          tokens += made.lengths[example];
        }
        RC_ASSERT(tokens <= static_cast<uint32_t>(made.options.sequence_length));
      }
    }
    RC_ASSERT(std::ranges::all_of(seen, [](int times) { return times == 1; }));
    RC_ASSERT(sequences == plan->sequences_an_epoch());
    RC_ASSERT(sequences >= plan->fewest_sequences());
  }
}

RC_GTEST_PROP(StepPlanProperty, TheRanksPartsAreTheStepForAnyNumberOfThem, ()) {
  const Case made = AnyCase();
  const auto plan = PlanOf(made);
  const PlannedStep step = plan->Step(*rc::gen::inRange(0, plan->steps()));
  const int world_size = *rc::gen::inRange(1, 30);
  std::vector<Sequence> all;
  for (int rank = 0; rank < world_size; ++rank) {
    const auto part = RankPart(step, made.lengths, rank, world_size);
    RC_ASSERT(!part.empty() || step.sequences.size() < static_cast<size_t>(world_size));
    all.insert(all.end(), part.begin(), part.end());
  }
  RC_ASSERT(all == step.sequences);
}

RC_GTEST_PROP(StepPlanProperty, ARunThatResumesAtAnyStepGoesOnAsPlanned, ()) {
  const Case made = AnyCase();
  const auto whole = PlanOf(made);
  const int start = *rc::gen::inRange(0, whole->steps());
  const auto resumed = PlanOf(made);  // of another process, which asks for no earlier step
  RC_ASSERT(resumed->steps() == whole->steps());
  for (int s = start; s < std::min(whole->steps(), start + 10); ++s) {
    RC_ASSERT(resumed->Step(s).sequences == whole->Step(s).sequences);
  }
  RC_ASSERT(resumed->Digest() == whole->Digest());
}

RC_GTEST_PROP(StepPlanProperty, WhatDiffersHasAnotherDigest, ()) {
  const Case made = AnyCase();
  Case other = made;
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      ++other.options.seed;
      break;
    case 1:
      ++other.options.global_batch;
      other.options.epochs += 1;
      break;
    case 2:
      ++other.targets[*rc::gen::inRange<size_t>(0, other.targets.size())];
      break;
    default:
      other.lengths.push_back(1);
      other.targets.push_back(1);
  }
  RC_ASSERT(PlanOf(made)->Digest() != PlanOf(other)->Digest());
}

// Of each data set what its weight says, to the nearest example, and the shares of those that have
// one; every example of it as often as any other, or once more.
RC_GTEST_PROP(MixProperty, WeightsAndSharesAreMet, ()) {
  const int datasets = *rc::gen::inRange(1, 4);
  const bool with_share = *rc::gen::arbitrary<bool>();
  std::vector<MixAmount> amounts;
  for (int i = 0; i < datasets + (with_share ? 1 : 0); ++i) {
    MixAmount amount{.size = *rc::gen::inRange<int64_t>(1, 200)};
    if (i < datasets) {
      amount.weight = *rc::gen::inRange(1, 40) / 10.0;
    } else {
      amount.share = *rc::gen::inRange(1, 90) / 100.0;
    }
    amounts.push_back(amount);
  }
  const auto counts = MixCounts(amounts);
  RC_ASSERT(counts.ok());
  int64_t all = 0;
  for (const int64_t count : *counts) all += count;
  std::vector<MixPart> parts;
  for (size_t i = 0; i < amounts.size(); ++i) {
    const double wanted = amounts[i].share > 0
                              ? amounts[i].share * static_cast<double>(all)
                              : amounts[i].weight * static_cast<double>(amounts[i].size);
    RC_ASSERT(std::abs(static_cast<double>((*counts)[i]) - wanted) <= 1.0);
    parts.push_back({std::make_shared<RandomShard>(amounts[i].size, i + 1), (*counts)[i]});
  }
  if (all == 0) return;
  const auto mixed = Mix(parts, *rc::gen::arbitrary<uint64_t>());
  RC_ASSERT(mixed.ok());
  std::map<std::vector<uint8_t>, int64_t> times;
  for (size_t i = 0; i < (*mixed)->size(); ++i) ++times[IdOf(**mixed, i)];
  for (size_t i = 0; i < parts.size(); ++i) {
    int64_t of_part = 0;
    for (size_t e = 0; e < parts[i].shard->size(); ++e) {
      const int64_t there = times[IdOf(*parts[i].shard, e)];
      of_part += there;
      RC_ASSERT(std::abs(there - (*counts)[i] / amounts[i].size) <= 1);
    }
    RC_ASSERT(of_part == (*counts)[i]);
  }
}

}  // namespace
}  // namespace attune::engine
