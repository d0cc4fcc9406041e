#pragma once

// What tests/parity/make_references.py wrote for one model.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "tests/support/packed_batch.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

// Models that jobs wrote (make_trained.py), named "trained/...", are not committed.
inline std::filesystem::path FixtureFolder(const std::string& name) {
  if (name.starts_with("trained/"))
    return std::filesystem::path(std::getenv("ATTUNE_PARITY_DIR")) / name;
  return std::filesystem::path("tests/fixtures/model") / name;
}

inline nlohmann::json ReadJson(const std::filesystem::path& path) {
  return nlohmann::json::parse(ReadFile(path).value());
}

// The expected tensors: "logits", "loss", "grad.<parameter>".
class Expected {
 public:
  explicit Expected(const std::string& name, const std::string& file = "expected.safetensors")
      : source_(OpenWeights(FixtureFolder(name) / file).value()) {}

  at::Tensor Get(const std::string& name) const {
    const auto found = source_->tensors().find(name);
    if (found == source_->tensors().end()) return {};
    at::Tensor tensor = at::empty(found->second.shape, at::kFloat);
    EXPECT_TRUE(source_
                    ->ReadFloat(name, {tensor.mutable_data_ptr<float>(),
                                       static_cast<size_t>(tensor.numel())})
                    .ok());
    return tensor;
  }

  size_t gradients() const {
    size_t count = 0;
    for (const auto& [name, info] : source_->tensors()) count += name.starts_with("grad.") ? 1 : 0;
    return count;
  }

 private:
  std::unique_ptr<WeightSource> source_;
};

// Examples of {"tokens": [...], "targets": [...]} end to end.
inline PackedBatch Pack(const std::vector<nlohmann::json>& examples) {
  std::vector<MarkedTokens> marked;
  for (const nlohmann::json& example : examples)
    marked.push_back({example["tokens"].get<std::vector<int64_t>>(),
                      example["targets"].get<std::vector<int>>()});
  return PackExamples(marked);
}

inline ModelFiles FilesOf(const std::string& name) {
  ModelFiles files;
  files.reference = name;
  files.path = FixtureFolder(name);
  files.format = "huggingface";
  if (name.ends_with("lora") || name == "trained/prompt") {
    files.format = "peft-adapter";
    const size_t dash = name.rfind("-lora");
    files.base =
        std::make_shared<ModelFiles>(FilesOf(dash != std::string::npos ? name.substr(0, dash)
                                             : name == "lora"          ? "default"
                                                                       : "trained/base"));
  }
  return files;
}

inline std::unique_ptr<LanguageModel> LoadFixture(const std::string& name,
                                                  const LoadOptions& options = {}) {
  Result<std::unique_ptr<LanguageModel>> model = LanguageModel::Load(FilesOf(name), options);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return std::move(model).value();
}

// The largest difference, relative to the largest magnitude that is expected.
inline double RelativeError(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  const double scale = std::max(expected.abs().max().item<double>(), 1e-6);
  return (got.to(at::kFloat) - expected).abs().max().item<double>() / scale;
}

inline double AbsoluteError(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  return (got - expected).abs().max().item<double>();
}

}  // namespace attune::engine
