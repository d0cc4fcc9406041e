#pragma once

// A proof, on the machine at hand, of what docs/design.md says of a step: one update is the same
// for any number of ranks, micro-batches, packing and activation checkpointing. A part of the
// engine's public face: as in engine.h, no torch, gRPC or protobuf, and the same errors.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// What every difference of a row is to stay within.
inline constexpr double kParityTolerance = 1e-5;

struct ParityTask {
  std::filesystem::path folder;  // empty; what is written there stays
  // A Hugging Face folder of a model that predicts next tokens, in place of a small random Llama.
  // Only adapters are tried on it.
  std::filesystem::path model;
  std::string device = "cpu";  // or "cuda": rank r is on cuda:r, on as many ranks as work there
  std::vector<std::string> methods = {"full", "lora"};
  // The first of these make the plainest row, which the others are held against.
  std::vector<int> world_sizes = {1, 2, 4}, micro_batches = {1, 2, 8};
};

// One way to make the update of the same examples, and how far it is from the first way.
struct ParityRow {
  std::string method;
  int world_size = 1;
  int micro_batch = 1;   // sequences that go through the model at once
  int accumulation = 1;  // micro-batches of the rank that has most of them
  bool packing = false, activation_checkpointing = false;
  bool reference = false;  // the first row of its method
  double loss = 0, grad_norm = 0;
  // Relative to the reference's.
  double loss_difference = 0, grad_norm_difference = 0;
  // After plain SGD with a learning rate of 1, whose update is the gradient: the largest difference
  // of any weight's update, relative to the reference's largest update.
  double gradient_difference = 0;
  // After AdamW with a learning rate of 1e-3: the largest difference of any weight.
  //
  // AdamW's first update is learning_rate * g / (|g| + epsilon): noise n in a gradient moves a
  // weight by up to learning_rate * n / epsilon. So epsilon is 1e-6, above the noise that float32
  // has in these gradients (some 1e-9); at the usual 1e-8 weights with next to no gradient go where
  // rounding sends them, whoever computes them.
  double adamw_difference = 0;

  bool ok() const;
};

struct ParityResult {
  std::vector<ParityRow> rows;
  bool ok() const;
};

// Trains, by Prepare and Train, one step of all examples of a small data set for each row, a thread
// a rank, in float32. LoRA begins with an adapter that has been trained for a step (else half of it
// has no gradient) and has dropout. Reports each row through OnOutput as a JSON object with the
// fields of ParityRow, "ok", "row" from 1, "rows" and "tolerance"; what is not finite is null.
Result<ParityResult> CheckParity(const ParityTask& task, Observer& observer);

}  // namespace attune::engine
