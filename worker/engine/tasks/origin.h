#pragma once

// Where a model comes from, as far as what is made of it must say so.

#include <string>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

inline constexpr char kAttuneFile[] = "attune.json";  // beside what a job made: its lineage

// The whole model below an adapter, or the model itself.
const ModelFiles& RootOf(const ModelFiles& model);

// Whether a model is a prompt that was tuned beside a base, which cannot be merged into it.
bool IsPrompt(const ModelFiles& model);

// The dtype that the original weights of a whole model had. A trained model is kept in float32, so
// its attune.json remembers it; for others the weights tell (DtypeOf).
Result<std::string> OriginalDtype(const ModelFiles& root);

// The precision that a model is served in, and so measured in: "bfloat16" on a GPU where its
// weights are of 16 bits, else "float32".
Result<std::string> ServedPrecision(const ModelFiles& model, bool on_gpu);

// base_model_name_or_path for an adapter that is, or was trained on, `model`: what an imported
// adapter says itself; else the Hub's name of a base that was imported out of the Hub's cache; else
// the folder it was imported from, if that is still there; else its folder in the registry. Never
// the _name_or_path of the base's config.json, which often names what the base was made of.
std::string PeftBase(const ModelFiles& model);

}  // namespace attune::engine
