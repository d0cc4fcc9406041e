#include "coordinator/drift/reference.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "attune/v1/job_spec.pb.h"

namespace attune::drift {
namespace {

uint64_t RowsIn(const v1::DatasetVersion& dataset, const char* split) {
  const auto found = dataset.examples().find(split);
  return found == dataset.examples().end() ? 0 : found->second;
}

// One entry for each data set of the lineage; without a share or a weight where it says nothing.
std::vector<v1::DatasetRef> MixOf(const v1::Lineage& lineage) {
  v1::JobSpec spec;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const bool parsed =
      google::protobuf::util::JsonStringToMessage(lineage.spec(), &spec, options).ok();
  if (!parsed || spec.datasets_size() != lineage.datasets_size()) {
    return std::vector<v1::DatasetRef>(static_cast<size_t>(lineage.datasets_size()));
  }
  return {spec.datasets().begin(), spec.datasets().end()};
}

struct Counts {
  uint64_t train, held_out, unlabelled;
  uint64_t all() const { return train + held_out + unlabelled; }
};

Counts CountsOf(const v1::DatasetVersion& dataset, bool unlabelled) {
  return {RowsIn(dataset, "train"), RowsIn(dataset, "validation"),
          unlabelled ? RowsIn(dataset, "unlabelled") : 0};
}

void AddPart(const v1::DatasetVersion& dataset, const char* split, uint64_t examples,
             std::vector<v1::ReferencePart>* parts) {
  if (examples == 0) return;
  v1::ReferencePart& part = parts->emplace_back();
  part.set_dataset(dataset.name() + "@" + std::to_string(dataset.version()));
  part.set_split(split);
  part.set_examples(static_cast<uint32_t>(examples));
}

}  // namespace

std::vector<double> TrainedShares(const v1::Lineage& lineage,
                                  const std::vector<v1::DatasetVersion>& datasets) {
  const std::vector<v1::DatasetRef> mix = MixOf(lineage);
  std::vector<double> sizes;
  double shared = 0, rest = 0;
  for (size_t i = 0; i < datasets.size(); ++i) {
    const double weight = mix[i].weight() > 0 ? mix[i].weight() : 1;
    shared += mix[i].share();
    sizes.push_back(
        mix[i].share() > 0 ? 0 : weight * static_cast<double>(RowsIn(datasets[i], "train")));
    rest += sizes.back();
  }
  std::vector<double> shares;
  for (size_t i = 0; i < datasets.size(); ++i) {
    const double of_rest = rest > 0 ? sizes[i] / rest * std::max(0.0, 1 - shared) : 0;
    shares.push_back(mix[i].share() > 0 ? mix[i].share() : of_rest);
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share = sum > 0 ? share / sum : 1.0;
  return shares;
}

std::vector<v1::ReferencePart> PlanReference(const std::vector<v1::DatasetVersion>& datasets,
                                             const std::vector<double>& shares, bool unlabelled,
                                             uint32_t most) {
  double total = most;
  for (size_t i = 0; i < datasets.size(); ++i) {
    const auto rows = static_cast<double>(CountsOf(datasets[i], unlabelled).all());
    if (shares[i] > 0) total = std::min(total, rows / shares[i]);
  }
  total = std::max(total, static_cast<double>(std::min(most, kReferenceExamplesLeast)));
  std::vector<v1::ReferencePart> parts;
  for (size_t i = 0; i < datasets.size(); ++i) {
    const Counts counts = CountsOf(datasets[i], unlabelled);
    const auto quota =
        std::max<uint64_t>(1, static_cast<uint64_t>(std::llround(shares[i] * total)));
    if (counts.unlabelled > 0) {
      AddPart(datasets[i], "all", std::min(quota, counts.all()), &parts);
      continue;
    }
    const uint64_t held_out = std::min(quota, counts.held_out);
    AddPart(datasets[i], "validation", held_out, &parts);
    AddPart(datasets[i], "train", std::min(quota - held_out, counts.train), &parts);
  }
  return parts;
}

}  // namespace attune::drift
