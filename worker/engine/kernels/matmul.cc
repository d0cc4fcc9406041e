#include "worker/engine/kernels/matmul.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/engine/kernels/gemm.h"
#include "worker/engine/kernels/parallel.h"

namespace attune::engine::kernels {
namespace {

constexpr int64_t kLeastRows = 8;                  // below, ATen's matrix-vector code is better
constexpr int64_t kThreadWork = int64_t{1} << 21;  // multiplications that are worth a thread

bool OneStepIsOne(const at::Tensor& x) {
  return x.stride(0) == 1 || x.stride(1) == 1;
}

bool UseGemm(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  return out.device().is_cpu() && out.scalar_type() == at::kFloat && out.stride(1) == 1 &&
         OneStepIsOne(a) && OneStepIsOne(b) && out.size(0) >= kLeastRows && a.size(1) > 0 &&
         GemmIsFast();
}

}  // namespace

void MatMul(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  TORCH_CHECK(a.size(1) == b.size(0) && out.size(0) == a.size(0) && out.size(1) == b.size(1),
              "shapes of a matrix product: ", a.sizes(), " ", b.sizes(), " ", out.sizes());
  if (UseGemm(out, a, b)) {
    const int64_t work = out.numel() * a.size(1);
    const auto threads =
        static_cast<int>(std::clamp<int64_t>(work / kThreadWork, 1, std::max(Threads(), 1)));
    Gemm({a.const_data_ptr<float>(), a.stride(0), a.stride(1)},
         {b.const_data_ptr<float>(), b.stride(0), b.stride(1)}, out.mutable_data_ptr<float>(),
         out.stride(0), out.size(0), out.size(1), a.size(1), accumulate, threads);
    return;
  }
  at::Tensor target = out;
  if (accumulate) {
    at::addmm_out(target, out, a, b);
  } else {
    at::mm_out(target, a, b);
  }
}

at::Tensor MatMul(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  MatMul(out, a, b);
  return out;
}

void MatMulToFloat(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   bool accumulate) {
  if (!a.is_cuda() || a.scalar_type() == at::kFloat) {
    MatMul(out, a.to(at::kFloat), b.to(at::kFloat), accumulate);
    return;
  }
  at::Tensor target = out;
  if (accumulate) {
    at::addmm_out(target, out, a, b, at::kFloat);
  } else {
    at::mm_out(target, a, b, at::kFloat);
  }
}

at::Tensor MatMulToFloat(const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_cuda()) return MatMul(a, b).to(at::kFloat);
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options().dtype(at::kFloat));
  MatMulToFloat(out, a, b);
  return out;
}

}  // namespace attune::engine::kernels
