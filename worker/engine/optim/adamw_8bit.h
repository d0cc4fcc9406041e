#pragma once

// AdamW with moments of 8 bits: bitsandbytes' AdamW8bit (Dettmers, Lewis, Shleifer, Zettlemoyer
// 2022). Blocks of 256 numbers share a scale; the first moment's codes have signs, the second's
// have none. The moments are made float32 for an update and coded again after it. What has few
// elements keeps float32 moments.

#include <memory>
#include <vector>

#include "worker/engine/optim/adamw.h"
#include "worker/engine/optim/state_code.h"

namespace attune::engine {

class AdamW8Bit : public Optimizer {
 public:
  // Fewer elements than this stay float32, as with bitsandbytes' min_8bit_size.
  static constexpr int64_t kElementsMin = 4096;

  AdamW8Bit(NamedTensors parameters, const OptimizerOptions& options);

  void Step(int step, double learning_rate, double gradient_factor) override;
  // exp_avg and exp_avg_sq: uint8 as the parameters, with exp_avg_scale and exp_avg_sq_scale,
  // float32 [blocks]; of small parameters as AdamW's.
  NamedTensors State() const override;

 private:
  struct Moment {
    std::vector<at::Tensor> codes, scales;  // by parameter
    StateCode code;                         // on the CPU
    at::Tensor map, bounds;                 // elsewhere
  };
  Moment MakeMoment(bool is_signed) const;
  void StepOnCpu(size_t parameter, const AdamWUpdate& update);
  void StepOnDevice(size_t parameter, const AdamWUpdate& update);
  static at::Tensor Decode(const Moment& moment, size_t parameter);
  static void Encode(const Moment& moment, size_t parameter, const at::Tensor& numbers);

  const OptimizerOptions options_;
  NamedTensors parameters_;       // those with moments of 8 bits
  std::unique_ptr<AdamW> small_;  // the others
  std::unique_ptr<Moment> first_, second_;
};

}  // namespace attune::engine
