#include "worker/engine/data/prepared_counts.h"

#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

// Documented in docs/datasets.md.
constexpr double kUnusableShareMax = 0.05;

struct Number {
  const char* name;
  int64_t SplitCounts::*value;
};
constexpr Number kNumbers[] = {{"examples", &SplitCounts::examples},
                               {"truncated", &SplitCounts::truncated},
                               {"without_target", &SplitCounts::without_target},
                               {"unusable", &SplitCounts::unusable}};

bool ReadCounts(const Json& json, SplitCounts* counts) {
  for (const Number& number : kNumbers) {
    auto found = json.find(number.name);
    if (found == json.end() || !found->is_number_integer()) return false;
    counts->*number.value = found->get<int64_t>();
  }
  return true;
}

bool ReadUnusable(const Json& json, std::vector<std::string>* unusable) {
  auto list = json.find("first_unusable");
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
    AddPart(are(counts.unusable) + "left out because " + (counts.unusable == 1 ? "it" : "they") +
                " cannot be used",
            &text);
  }
  return text;
}

}  // namespace

void PreparedCounts::Add(std::string_view split, const ShardCounts& shard) {
  SplitCounts& sum = split == "train" ? train : validation;
  for (const Number& number : kNumbers) sum.*number.value += shard.counts.*number.value;
  for (const std::string& example : shard.unusable) {
    if (unusable.size() < kUnusableNamed) unusable.push_back(example);
  }
}

std::string ShardNotes(const ShardCounts& counts, const std::string& shard_sha256) {
  Json json = {{"shard", shard_sha256}};
  for (const Number& number : kNumbers) json[number.name] = counts.counts.*number.value;
  json["first_unusable"] = counts.unusable;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ShardCounts> ReadShardNotes(std::string_view notes, const std::string& shard_sha256) {
  const Json json = Json::parse(notes, nullptr, /*allow_exceptions=*/false);
  ShardCounts counts;
  if (!json.is_object() || json.value("shard", Json()) != shard_sha256 ||
      !ReadCounts(json, &counts.counts) || !ReadUnusable(json, &counts.unusable)) {
    return DataLoss("the token file's notes are damaged, or another shard's");
  }
  return counts;
}

Status CheckUnusable(const PreparedCounts& counts, int64_t examples) {
  const int64_t unusable = counts.train.unusable + counts.validation.unusable;
  if (static_cast<double>(unusable) <= kUnusableShareMax * static_cast<double>(examples)) {
    return Status();
  }
  std::string message = std::to_string(unusable) + " of the first " +
                        std::to_string(counts.examples()) +
                        " examples cannot be used (the data set has " + std::to_string(examples) +
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
