#pragma once

// Sums gradients over ranks while backward still runs.
//
// Parameters are grouped into buckets in the reverse of their order, which is about the order in
// which backward finishes them; each gradient moves into its bucket as soon as it is there. In the
// last backward of a step a full bucket is summed over ranks in the background; buckets start in
// the same order on every rank. Like c10d::Reducer, with three differences that this engine needs:
// sums, not means (a rank may have more target tokens than another, or none); buckets exist only
// from backward to Release and outside of the heap, so that gradients neither add to the
// activations' peak nor leave holes among them; and their layout never changes, so that a resumed
// run repeats the same additions bit by bit. One rank on a GPU has no use for any of it: its
// gradients stay where backward made them.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

class GradientSync {
 public:
  // The parameters are leaves that require gradients. The group must outlive this; hooks stay on
  // the parameters until it dies.
  GradientSync(Group* group, std::vector<at::Tensor> parameters,
               int64_t bucket_bytes = int64_t{25} << 20);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // Before the backward of a rank's last micro-batch of the step: from here each gradient that
  // backward leaves is final. Earlier micro-batches only accumulate.
  void StartLastBackward();
  // After it, or without any backward on a rank that had no sequence: waits until every parameter's
  // gradient is the sum over all ranks.
  Status Finish();
  // After the update: frees the gradients.
  void Release();

 private:
  class Hook;
  struct Bucket {
    std::vector<size_t> parameters;  // indices
    int64_t elements = 0;
    size_t ready = 0;
    at::Tensor flat;  // undefined until its first gradient is there
    std::unique_ptr<Pending> sum;
  };

  void MakeBuckets(int64_t bucket_bytes);
  void Accumulated(size_t parameter);
  void Ready(size_t parameter);
  void MoveIntoBucket(size_t parameter);
  void MakeRoom(int64_t bytes);
  void StartFullBuckets();

  Group* const group_;
  const std::vector<at::Tensor> parameters_;
  const bool has_buckets_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;   // by parameter
  std::vector<int64_t> offset_of_;  // in its bucket
  std::vector<bool> is_in_bucket_, is_ready_;
  bool last_backward_ = false;
  int64_t bytes_without_room_ = 0;  // of buckets made since freed memory was given back
  size_t next_bucket_ = 0;          // the first that has not started
  Status failure_;                  // the first, of a hook; Finish returns it
};

}  // namespace attune::engine
