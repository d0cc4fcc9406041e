// NCCL as far as one GPU goes: it refuses two ranks on the same.

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "tests/gpu/gpu.h"

namespace attune::engine {
namespace {

TEST(Nccl, OneRankSums) {
  SKIP_WITHOUT_GPU();
  const auto backend = OpenDeviceBackend("cuda", {.store = c10::make_intrusive<c10d::HashStore>()});
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  std::vector<at::Tensor> tensors = {at::full({1000}, 2.5f, at::kCUDA)};
  (*backend)->allreduce(tensors)->wait();
  EXPECT_TRUE(at::equal(tensors[0].cpu(), at::full({1000}, 2.5f)));
}

}  // namespace
}  // namespace attune::engine
