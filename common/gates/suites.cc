#include "common/gates/suites.h"

#include <algorithm>
#include <set>

#include "common/base/text.h"
#include "common/gates/lines.h"

namespace attune::gates {
namespace {

using ById = std::map<std::string, std::map<std::string, const v1::ExampleFacts*>>;

Result<ById> Index(const v1::EvaluationFacts& facts) {
  if (facts.examples_size() > static_cast<int>(kMaxExamples)) {
    return InvalidArgument("the evaluation of " + facts.model() + " has more than " +
                           CountOf(kMaxExamples, "example"));
  }
  ById suites;
  for (const v1::ExampleFacts& example : facts.examples()) {
    Status checked = CheckExample(example);
    if (!checked.ok()) return checked.WithContext("the evaluation of " + facts.model());
    if (!suites[example.suite()].emplace(example.id(), &example).second) {
      return InvalidArgument("the evaluation of " + facts.model() + ": example " + example.id() +
                             " of suite " + example.suite() + " comes twice");
    }
  }
  return suites;
}

}  // namespace

Result<Suites> Suites::Make(const v1::GateFacts& facts) {
  ATTUNE_ASSIGN_OR_RETURN(ById candidate, Index(facts.candidate()));
  ATTUNE_ASSIGN_OR_RETURN(ById champion, Index(facts.champion()));
  Suites made;
  std::map<std::string, std::set<std::string>> seen;
  std::map<std::string, const v1::SuiteProof*> proofs;
  for (const v1::SuiteProof& proof : facts.proofs()) {
    if (!proofs.emplace(proof.suite(), &proof).second) {
      return InvalidArgument("there are two proofs of suite " + proof.suite());
    }
    seen[proof.suite()].insert(proof.seen_ids().begin(), proof.seen_ids().end());
  }
  for (const auto& [name, examples] : candidate) {
    SuiteExamples& suite = made.suites_[name];
    if (proofs.contains(name)) suite.proof = proofs[name];
    for (const auto& [id, example] : examples) {
      if (seen[name].contains(id)) {
        ++suite.left_out;
        continue;
      }
      auto other = champion[name].find(id);
      suite.pairs.push_back({example, other == champion[name].end() ? nullptr : other->second});
    }
  }
  return made;
}

Result<const SuiteExamples*> Suites::Find(const std::string& suite) const {
  auto found = suites_.find(suite);
  if (found != suites_.end()) return &found->second;
  return InvalidArgument("suite " + suite + " is not in the candidate's evaluation");
}

Result<std::vector<Pair>> Suites::Candidates(const std::string& suite, const Metric& metric,
                                             const std::string& slice_key,
                                             const std::string& slice_value) const {
  ATTUNE_ASSIGN_OR_RETURN(const SuiteExamples* examples, Find(suite));
  std::vector<Pair> pairs;
  for (const Pair& pair : examples->pairs) {
    if (!slice_key.empty()) {
      auto value = pair.candidate->slices().find(slice_key);
      if (value == pair.candidate->slices().end() || value->second != slice_value) continue;
    }
    ATTUNE_RETURN_IF_ERROR(CheckMetric(*pair.candidate, metric.name()));
    pairs.push_back({pair.candidate, nullptr});
  }
  return pairs;
}

Result<std::vector<Pair>> Suites::Paired(const std::string& suite, const Metric& metric,
                                         uint64_t* unpaired) const {
  ATTUNE_ASSIGN_OR_RETURN(const SuiteExamples* examples, Find(suite));
  std::vector<Pair> pairs;
  for (const Pair& pair : examples->pairs) {
    if (pair.champion == nullptr) continue;
    ATTUNE_RETURN_IF_ERROR(CheckMetric(*pair.candidate, metric.name()));
    ATTUNE_RETURN_IF_ERROR(CheckMetric(*pair.champion, metric.name()));
    pairs.push_back(pair);
  }
  *unpaired = examples->pairs.size() - pairs.size();
  if (pairs.empty() && !examples->pairs.empty()) {
    return InvalidArgument("the champion's evaluation has no example of suite " + suite +
                           " that the candidate's has: were they of other versions?");
  }
  return pairs;
}

Result<v1::GateResult> UntouchedGate(const Suites& suites, const std::string& suite) {
  ATTUNE_ASSIGN_OR_RETURN(const SuiteExamples* examples, suites.Find(suite));
  v1::GateResult result;
  result.set_gate("untouched");
  result.set_name(suite);
  result.set_examples(examples->pairs.size());
  result.set_value(static_cast<double>(examples->left_out));
  result.set_method("lookup by id");
  const uint64_t all = examples->pairs.size() + examples->left_out;
  if (examples->proof == nullptr) {
    result.set_verdict(v1::GateReport::FAILED);
    result.set_explanation("nothing proves that suite " + suite + " was not trained on");
    return result;
  }
  std::string places;
  for (const std::string& dataset : examples->proof->trained_on()) {
    places += (places.empty() ? "" : ", ") + dataset;
  }
  std::string found = CountOf(all, "example") + " of suite " + suite + " looked up in " +
                      (places.empty() ? "no training data, as there is none" : places) + ": " +
                      ShortNumber(static_cast<double>(examples->left_out)) + " found and left out";
  const bool nothing = examples->pairs.empty();
  result.set_verdict(nothing ? v1::GateReport::FAILED : v1::GateReport::PASSED);
  result.set_explanation(found + (nothing ? ", nothing is left to measure on" : ""));
  return result;
}

Status AddSlices(const Metric& metric, const std::vector<Pair>& pairs, bool champion,
                 const v1::GatesSpec& spec, v1::GateResult* result) {
  for (const std::string& key : spec.slices()) {
    std::map<std::string, std::vector<Pair>> values;
    for (const Pair& pair : pairs) {
      auto value = pair.candidate->slices().find(key);
      if (value != pair.candidate->slices().end()) values[value->second].push_back(pair);
    }
    std::vector<std::pair<size_t, std::string>> largest;  // examples, value
    for (const auto& [value, members] : values) largest.emplace_back(members.size(), value);
    std::sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (largest.size() > kMaxSliceValues) largest.resize(kMaxSliceValues);
    for (const auto& [count, value] : largest) {
      ATTUNE_ASSIGN_OR_RETURN(auto sample, metric.Sums(values[value], champion));
      v1::SliceResult* slice = result->add_slices();
      slice->set_key(key);
      slice->set_value(value);
      slice->set_examples(count);
      slice->set_candidate(metric.Candidate(sample.totals(), champion));
      if (champion) slice->set_champion(metric.Champion(sample.totals()));
    }
  }
  return Status();
}

}  // namespace attune::gates
