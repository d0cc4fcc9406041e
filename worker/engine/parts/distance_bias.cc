#include "worker/engine/parts/distance_bias.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace attune::engine {

// Operation for operation what transformers computes: a bucket's bound moves with a float's last
// bit.
at::Tensor BucketsOfDistances(const DistanceBuckets& distances, int64_t longest, bool causal) {
  const at::Tensor relative = at::arange(1 - longest, longest, at::kLong);
  int64_t buckets = distances.buckets;
  at::Tensor first = at::zeros_like(relative), far = -relative.clamp_max(0);
  if (!causal) {
    buckets /= 2;
    first = (relative > 0).to(at::kLong) * buckets;
    far = relative.abs();
  }
  const int64_t exact = buckets / 2;
  const double range =
      std::log(static_cast<double>(distances.farthest) / static_cast<double>(exact));
  const at::Tensor wide =
      ((far.to(at::kFloat) / exact).log() / range * (buckets - exact)).to(at::kLong) + exact;
  return first + at::where(far < exact, far, wide.clamp_max(buckets - 1));
}

at::Tensor DistanceBias(const at::Tensor& table, const DistanceBuckets& distances, int64_t longest,
                        bool causal) {
  const at::Tensor buckets =
      BucketsOfDistances(distances, std::max<int64_t>(longest, 1), causal).to(table.device());
  // A product with ones instead of a choice of rows: its gradient adds up in a fixed order on every
  // device.
  const at::Tensor chosen = at::one_hot(buckets, distances.buckets).to(at::kFloat);
  return at::mm(table.to(at::kFloat).t(), chosen.t());
}

}  // namespace attune::engine
