#pragma once

// Which rows stand for what a model was trained on: pure functions of its lineage.

#include <cstdint>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "attune/v1/drift.pb.h"
#include "attune/v1/models.pb.h"

namespace attune::drift {

// The part of a training epoch's examples that each of the data sets had, all together 1: those
// with a share have it, the others what is left, by size and weight (docs/job-spec.md). datasets:
// of the lineage, in its order, perhaps not all.
std::vector<double> TrainedShares(const v1::Lineage& lineage,
                                  const std::vector<v1::DatasetVersion>& datasets);

// Fewer examples than this are measured only where there are no more.
inline constexpr uint32_t kReferenceExamplesLeast = 500;

// What is measured of the data sets: each has its share of together at most `most` examples, of so
// many fewer (down to kReferenceExamplesLeast) that the smallest has enough. Of each at least one,
// and no more than it has. Rows that were held out come first, as they alone have losses that
// compare with live data's; which side a row is on is decided by its hash, so in all else they are
// as the others. A data set of which unlabelled rows count as well is measured as it is.
std::vector<v1::ReferencePart> PlanReference(const std::vector<v1::DatasetVersion>& datasets,
                                             const std::vector<double>& shares, bool unlabelled,
                                             uint32_t most);

}  // namespace attune::drift
