#include "common/model/adapter_labels.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/files.h"
#include "common/model/lora_config.h"

namespace attune {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kFileBytesMax = 8 << 20;
constexpr int64_t kLabelsMax = 100'000;

// Outputs of the head that the adapter has of its own; 0: it has none.
int64_t HeadOutputs(const TensorInfos& tensors) {
  for (const char* head : {"score", "classifier"}) {
    const auto found = tensors.find(LoraTensorName(head, "weight"));
    if (found != tensors.end() && found->second.shape.size() == 2) return found->second.shape[0];
  }
  return 0;
}

Result<std::vector<std::string>> ReadLabels(const fs::path& path, int64_t count) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileBytesMax));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> labels;
  for (const Json& label : json.is_array() ? json : Json::array()) {
    if (label.is_string()) labels.push_back(label.get<std::string>());
  }
  const bool once = std::set<std::string>(labels.begin(), labels.end()).size() == labels.size();
  if (once && static_cast<int64_t>(labels.size()) == count) return labels;
  return InvalidArgument(path.string() + " must be an array of " + std::to_string(count) +
                         " labels, as many as the adapter's head has outputs, each once");
}

}  // namespace

Result<std::vector<std::string>> ReadAdapterLabels(const fs::path& folder,
                                                   const TensorInfos& tensors) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / "adapter_config.json"));
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool classifies = config.is_object() && config.value("task_type", Json()) == "SEQ_CLS";
  const int64_t count = classifies ? HeadOutputs(tensors) : 0;
  if (count == 0) return std::vector<std::string>();
  if (count == 1 || count > kLabelsMax) {
    return InvalidArgument(
        folder.string() + ": a head of " + std::to_string(count) +
        (count == 1 ? " output, as reward models and regression have it," : " labels") +
        " is not supported");
  }
  std::error_code error;
  if (fs::exists(folder / kLabelsFile, error)) return ReadLabels(folder / kLabelsFile, count);
  std::vector<std::string> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back("LABEL_" + std::to_string(i));
  return labels;
}

std::string LabelsJson(const std::vector<std::string>& labels) {
  return Json(labels).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool AreNameless(const std::vector<std::string>& labels) {
  return std::ranges::all_of(labels,
                             [](const std::string& label) { return label.starts_with("LABEL_"); });
}

Result<ModelConfig> WithLabels(const ModelConfig& base, const std::vector<std::string>& labels) {
  const bool same = base.labels.size() == labels.size() && AreNameless(labels);
  if (labels.empty() || base.labels == labels || same) return base;
  return AsClassifier(base, labels);
}

}  // namespace attune
