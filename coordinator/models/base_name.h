#pragma once

// Whether an adapter's base is the model that its files name.

#include <string>

#include "attune/v1/models.pb.h"

namespace attune::models {

// By their names alone, since weights of one shape cannot be told apart: `named`, as
// base_model_name_or_path has it ("org/Model-7B", or a folder), against what the base is called in
// the registry and what it was imported from (a folder, or one of the Hub's cache). True where
// nothing is named.
bool LooksLike(const std::string& named, const v1::ModelVersion& base);

}  // namespace attune::models
