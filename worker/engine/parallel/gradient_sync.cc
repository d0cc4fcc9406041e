#include "worker/engine/parallel/gradient_sync.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

constexpr int64_t kRoomStep = int64_t{48} << 20;

}  // namespace

// Runs on the thread of backward, after a parameter's gradient has been accumulated.
class GradientSync::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientSync* owner, size_t parameter) : owner_(owner), parameter_(parameter) {}
  void operator()(const torch::autograd::Variable&) override { owner_->Accumulated(parameter_); }

 private:
  GradientSync* const owner_;
  const size_t parameter_;
};

GradientSync::GradientSync(Group* group, std::vector<at::Tensor> parameters, int64_t bucket_bytes)
    : group_(group),
      parameters_(std::move(parameters)),
      has_buckets_(group->world_size() > 1 || parameters_.empty() || parameters_.front().is_cpu()) {
  if (!has_buckets_) return;
  MakeBuckets(bucket_bytes);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i], std::make_unique<Hook>(this, i));
  }
}

GradientSync::~GradientSync() {
  for (const at::Tensor& parameter : parameters_) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
  // A sum that was not waited for still writes into its bucket.
  for (Bucket& bucket : buckets_) {
    if (bucket.sum) (void)bucket.sum->Wait().ok();
  }
}

void GradientSync::MakeBuckets(int64_t bucket_bytes) {
  bucket_of_.resize(parameters_.size());
  offset_of_.resize(parameters_.size());
  is_in_bucket_.assign(parameters_.size(), false);
  is_ready_.assign(parameters_.size(), false);
  // A small first bucket starts the network early.
  int64_t limit = std::min<int64_t>(bucket_bytes, 1 << 20);
  for (size_t i = parameters_.size(); i-- > 0;) {
    const bool full =
        !buckets_.empty() &&
        (buckets_.back().elements + parameters_[i].numel()) * int64_t{sizeof(float)} > limit;
    if (buckets_.empty() || full) {
      if (full) limit = bucket_bytes;
      buckets_.emplace_back();
    }
    bucket_of_[i] = buckets_.size() - 1;
    offset_of_[i] = buckets_.back().elements;
    buckets_.back().parameters.push_back(i);
    buckets_.back().elements += parameters_[i].numel();
  }
}

void GradientSync::StartLastBackward() {
  last_backward_ = true;
}

void GradientSync::Accumulated(size_t parameter) {
  if (!is_in_bucket_[parameter]) MoveIntoBucket(parameter);
  if (last_backward_) Ready(parameter);
}

void GradientSync::Ready(size_t parameter) {
  if (is_ready_[parameter]) {
    if (failure_.ok())
      failure_ = Internal("backward touched a gradient that was already being summed");
    return;
  }
  is_ready_[parameter] = true;
  ++buckets_[bucket_of_[parameter]].ready;
  StartFullBuckets();
}

void GradientSync::MoveIntoBucket(size_t parameter) {
  at::NoGradGuard no_grad;
  const at::Tensor& tensor = parameters_[parameter];
  Bucket& bucket = buckets_[bucket_of_[parameter]];
  if (!bucket.flat.defined()) {
    MakeRoom(bucket.elements * static_cast<int64_t>(sizeof(float)));
    bucket.flat = ZeroPages({bucket.elements}, tensor);
  }
  at::Tensor view =
      bucket.flat.narrow(0, offset_of_[parameter], tensor.numel()).view(tensor.sizes());
  if (tensor.grad().defined()) view.copy_(tensor.grad());  // else zeros
  tensor.mutable_grad() = view;
  is_in_bucket_[parameter] = true;
}

// In a first backward that is also the last, gradients take the place of the activations that it
// frees. Not for every bucket: pages that are given back cost time when they are needed again.
void GradientSync::MakeRoom(int64_t bytes) {
  if (!last_backward_ || !parameters_.front().is_cpu()) return;
  bytes_without_room_ += bytes;
  if (bytes_without_room_ < kRoomStep) return;
  ReturnFreedMemory();
  bytes_without_room_ = 0;
}

void GradientSync::StartFullBuckets() {
  while (failure_.ok() && next_bucket_ < buckets_.size()) {
    Bucket& bucket = buckets_[next_bucket_];
    if (bucket.ready < bucket.parameters.size()) return;
    auto sum = group_->StartSum(bucket.flat);
    if (!sum.ok()) {
      failure_ = sum.status();
      return;
    }
    bucket.sum = std::move(sum).value();
    ++next_bucket_;
  }
}

Status GradientSync::Finish() {
  last_backward_ = false;
  if (!has_buckets_) {
    for (const at::Tensor& parameter : parameters_) {
      if (!parameter.grad().defined())
        parameter.mutable_grad() = at::zeros_like(parameter.detach());
    }
    return Status();
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (is_ready_[i]) continue;
    if (!is_in_bucket_[i]) MoveIntoBucket(i);
    Ready(i);
  }
  for (Bucket& bucket : buckets_) {
    if (!bucket.sum) continue;
    const Status summed = bucket.sum->Wait();
    bucket.sum.reset();
    if (failure_.ok()) failure_ = summed;
  }
  return failure_;
}

void GradientSync::Release() {
  for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  for (Bucket& bucket : buckets_) {
    bucket.flat.reset();
    bucket.ready = 0;
  }
  is_in_bucket_.assign(is_in_bucket_.size(), false);
  is_ready_.assign(is_ready_.size(), false);
  next_bucket_ = 0;
}

}  // namespace attune::engine
