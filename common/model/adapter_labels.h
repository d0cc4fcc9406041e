#pragma once

// What a peft adapter makes of its base, where it was trained to classify: peft's task_type SEQ_CLS
// puts a head on a model that has another, or none, and does not say what the labels are called.

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "common/model/tensors.h"

namespace attune {

// In an adapter's folder: a JSON array of its labels. peft ignores it.
inline constexpr char kLabelsFile[] = "labels.json";

// The labels of an adapter with these tensors, in the order of its head's outputs: as the file has
// them, else LABEL_0, LABEL_1, ... as transformers calls them. None when it is no classifier's.
Result<std::vector<std::string>> ReadAdapterLabels(const std::filesystem::path& folder,
                                                   const TensorInfos& tensors);
std::string LabelsJson(const std::vector<std::string>& labels);

// Whether these are only as transformers calls labels without a name: LABEL_0, LABEL_1, ...
bool AreNameless(const std::vector<std::string>& labels);

// The base as an adapter with these labels sees it. A classifier with as many labels keeps its own
// names for those that have none.
Result<ModelConfig> WithLabels(const ModelConfig& base, const std::vector<std::string>& labels);

}  // namespace attune
