#include "worker/engine/data/prepared_counts.h"

#include <nlohmann/json.hpp>

#include "common/base/files.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

// Documented in docs/datasets.md.
constexpr double kUnusableShareMax = 0.05;
constexpr uint64_t kBytesMax = 1 << 20;

struct Number {
  const char* name;
  int64_t SplitCounts::*value;
};
constexpr Number kNumbers[] = {{"examples", &SplitCounts::examples},
                               {"truncated", &SplitCounts::truncated},
                               {"without_target", &SplitCounts::without_target},
                               {"unusable", &SplitCounts::unusable}};

Json ToJson(const SplitCounts& counts) {
  Json json = Json::object();
  for (const Number& number : kNumbers) json[number.name] = counts.*number.value;
  return json;
}

bool ReadSplit(const Json& json, const char* name, SplitCounts* counts) {
  auto split = json.find(name);
  if (split == json.end() || !split->is_object()) return false;
  for (const Number& number : kNumbers) {
    auto found = split->find(number.name);
    if (found == split->end() || !found->is_number_integer()) return false;
    counts->*number.value = found->get<int64_t>();
  }
  return true;
}

bool ReadUnusable(const Json& json, std::vector<std::string>* unusable) {
  auto list = json.find("unusable");
  if (list == json.end() || !list->is_array() || list->size() > kUnusableNamed) return false;
  for (const Json& text : *list) {
    if (!text.is_string()) return false;
    unusable->push_back(text.get<std::string>());
  }
  return true;
}

void AddPart(const std::string& part, std::string* sentence) {
  *sentence += (sentence->empty() ? "" : ", ") + part;
}

// "12 are cut at train.sequence_length 512, 3 are dropped for having nothing to learn".
std::string LostOf(const SplitCounts& counts, int sequence_length) {
  std::string text;
  auto are = [](int64_t count) { return std::to_string(count) + (count == 1 ? " is " : " are "); };
  if (counts.truncated > 0) {
    AddPart(
        are(counts.truncated) + "cut at train.sequence_length " + std::to_string(sequence_length),
        &text);
  }
  if (counts.without_target > 0) {
    AddPart(are(counts.without_target) + "dropped for having nothing to learn" +
                (counts.truncated > 0 ? " before the cut" : ""),
            &text);
  }
  if (counts.unusable > 0) {
    AddPart(are(counts.unusable) + "left out because the chat template cannot take " +
                (counts.unusable == 1 ? "it" : "them"),
            &text);
  }
  return text;
}

}  // namespace

std::string PreparedJson(const PreparedCounts& counts, int format, const std::string& dataset) {
  const Json json = {{"format", format},
                     {"dataset", dataset},
                     {"train", ToJson(counts.train)},
                     {"validation", ToJson(counts.validation)},
                     {"unusable", counts.unusable}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<PreparedCounts> ReadPreparedJson(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string content, ReadFile(file, kBytesMax));
  const Json json = Json::parse(content, nullptr, /*allow_exceptions=*/false);
  PreparedCounts counts;
  if (!json.is_object() || !ReadSplit(json, "train", &counts.train) ||
      !ReadSplit(json, "validation", &counts.validation) || !ReadUnusable(json, &counts.unusable)) {
    return DataLoss(file.string() + " is damaged");
  }
  return counts;
}

Status CheckUnusable(const PreparedCounts& counts, int64_t examples) {
  const int64_t unusable = counts.train.unusable + counts.validation.unusable;
  if (static_cast<double>(unusable) <= kUnusableShareMax * static_cast<double>(examples)) {
    return Status();
  }
  std::string message = "the model's chat template cannot take " + std::to_string(unusable) +
                        " of the first " + std::to_string(counts.examples()) +
                        " examples (the data set has " + std::to_string(examples) +
                        ", 5 % may be left out)";
  for (const std::string& example : counts.unusable) message += "; " + example;
  return InvalidArgument(message);
}

Status NothingToLearn(const PreparedCounts& counts, size_t sequence_length) {
  const SplitCounts& train = counts.train;
  if (train.examples == 0) {
    return InvalidArgument("the dataset has no example in its training split");
  }
  std::string message =
      "none of the " + std::to_string(train.examples) + " training examples has a token to learn: ";
  if (train.truncated > 0) {
    return InvalidArgument(message + std::to_string(train.truncated) +
                           " were cut at sequence_length " + std::to_string(sequence_length) +
                           " before their first target; raise train.sequence_length")
        .WithField("train.sequence_length");
  }
  return InvalidArgument(message + "no assistant message and no completion has any text");
}

std::vector<std::string> DataWarnings(const DatasetCounts& dataset, int sequence_length) {
  std::vector<std::string> warnings;
  for (const auto& [split, counts] :
       {std::pair("training", dataset.train), std::pair("validation", dataset.validation)}) {
    const std::string lost = LostOf(counts, sequence_length);
    if (lost.empty()) continue;
    warnings.push_back(dataset.reference + ", " + std::to_string(counts.examples) + " " + split +
                       (counts.examples == 1 ? " example: " : " examples: ") + lost);
  }
  for (const std::string& example : dataset.unusable) {
    if (!warnings.empty()) warnings.back() += "; " + example;
  }
  return warnings;
}

}  // namespace attune::engine
