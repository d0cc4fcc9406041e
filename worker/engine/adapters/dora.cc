// DoRA (Liu et al. 2024), as peft has it: the sum of base and product is given a trained magnitude
// for each output. Its norm is taken as a constant in backward.

#include <ATen/ATen.h>

#include "worker/engine/adapters/projection.h"
#include "worker/engine/kernels/matmul.h"

namespace attune::engine {

using kernels::MatMul;

at::Tensor Projection::Norms(const LowRank& low_rank) const {
  at::Tensor norms = at::ones({out_}, options_.dtype(at::kFloat));
  for (const LowRank::Pair& pair : low_rank.pairs()) {
    const at::Tensor sum = at::addmm(Dense(parts_[pair.part], at::kFloat), pair.b.detach(),
                                     pair.a.detach(), /*beta=*/1, /*alpha=*/pair.scale);
    norms.narrow(0, pair.begin, pair.rows).copy_(at::linalg_vector_norm(sum, 2, {1}));
  }
  return norms;
}

void Projection::StartMagnitudes(const LowRank& low_rank) const {
  if (!low_rank.scales()) return;
  const at::Tensor norms = Norms(low_rank);
  for (const LowRank::Pair& pair : low_rank.pairs()) {
    pair.magnitude.detach().copy_(norms.narrow(0, pair.begin, pair.rows));
  }
}

at::Tensor Projection::Factors() const {
  at::Tensor factors = at::ones({out_}, options_.dtype(at::kFloat));
  for (const LowRank::Pair& pair : low_rank_->pairs()) {
    factors.narrow(0, pair.begin, pair.rows).copy_(pair.magnitude.detach());
  }
  return factors.div_(low_rank_->Norms([this] { return Norms(*low_rank_); }));
}

// Without dropout out += factor * (x W^T + scale x A^T B^T), all parts at once; with it the base
// sees all of x, so that out += x W^T + factor * (z + scale drop(x) A^T B^T) - z, where
// z = drop(x) W^T is another product of each pair.
void Projection::AddScaled(const at::Tensor& out, const at::Tensor& x, const DropoutCall& call,
                           Kept& kept) const {
  kept.product = at::empty({x.size(0), out_}, x.options());
  if (!low_rank_->Drops(call)) {
    Multiply(kept.product, x, /*accumulate=*/false);
    kept.scaled = low_rank_->Forward(x, call, kept.product);
    out.add_(at::mul(kept.product, Factors()));
    return;
  }
  Multiply(out, x, /*accumulate=*/true);
  for (const LowRank::Pair& pair : low_rank_->pairs()) {
    const at::Tensor dropped = at::empty_like(x);
    low_rank_->Drop(dropped, x, call, pair);
    const at::Tensor product = kept.product.narrow(1, pair.begin, pair.rows);
    MatMul(product, dropped, Dense(parts_[pair.part], x.scalar_type()).t());
    out.narrow(1, pair.begin, pair.rows).sub_(product);
  }
  kept.scaled = low_rank_->Forward(x, call, kept.product);
  const at::Tensor factors = Factors();
  for (const LowRank::Pair& pair : low_rank_->pairs()) {
    out.narrow(1, pair.begin, pair.rows)
        .add_(at::mul(kept.product.narrow(1, pair.begin, pair.rows),
                      factors.narrow(0, pair.begin, pair.rows)));
  }
}

at::Tensor Projection::ScaledBackward(const at::Tensor& dy, const at::Tensor& x,
                                      const DropoutCall& call, const Kept& kept, bool want_dx,
                                      std::vector<std::vector<at::Tensor>>& pairs) const {
  const at::Tensor& norms = low_rank_->Norms([this] { return Norms(*low_rank_); });
  const at::Tensor dproduct = at::mul(dy, Factors()).to(x.scalar_type());
  const bool drops = low_rank_->Drops(call);
  at::Tensor dx;
  if (want_dx) dx = MultiplyBack(drops ? dy : dproduct);
  pairs = low_rank_->Backward(dproduct, x, call, kept.scaled, dx);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const LowRank::Pair& pair = low_rank_->pairs()[i];
    const auto of_pair = [&](const at::Tensor& all) {
      return all.narrow(1, pair.begin, pair.rows);
    };
    pairs[i].push_back((of_pair(dy).to(at::kFloat) * of_pair(kept.product))
                           .sum(0)
                           .div_(norms.narrow(0, pair.begin, pair.rows)));
    if (!drops || !want_dx) continue;
    const at::Tensor dz = of_pair(dproduct) - of_pair(dy);
    low_rank_->Drop(dx, MatMul(dz, Dense(parts_[pair.part], x.scalar_type())), call, pair,
                    /*accumulate=*/true);
  }
  return dx;
}

}  // namespace attune::engine
