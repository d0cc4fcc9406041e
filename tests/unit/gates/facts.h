#pragma once

// Facts for tests of gates, made of few numbers.

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "attune/v1/gates.pb.h"
#include "common/base/hash.h"

namespace attune::gates {

inline std::string ExampleId(uint64_t i) {
  char text[33];
  std::snprintf(text, sizeof text, "%032llx", static_cast<unsigned long long>(i));
  return text;
}

inline double Uniform(Random* random) {
  return static_cast<double>(random->Next() >> 11) * 0x1p-53;
}
inline double Normal(Random* random) {
  return std::sqrt(-2 * std::log(1 - Uniform(random))) *
         std::cos(6.283185307179586 * Uniform(random));
}

// Facts of candidate docs@2 and champion docs@1.
class FactsBuilder {
 public:
  FactsBuilder() {
    facts_.mutable_candidate()->set_model("docs@2");
    facts_.mutable_candidate()->mutable_artifact()->set_bytes(1000);
    facts_.mutable_champion()->set_model("docs@1");
  }
  v1::GateFacts& facts() { return facts_; }
  v1::GatesSpec& spec() { return *facts_.mutable_spec(); }
  void NoChampion() { facts_.clear_champion(); }

  // n examples of the suite in both evaluations, and its proof. fill sets what they measured.
  using Fill =
      std::function<void(uint64_t i, v1::ExampleFacts* candidate, v1::ExampleFacts* champion)>;
  void AddSuite(const std::string& suite, uint64_t n, const Fill& fill) {
    for (uint64_t i = 0; i < n; ++i) {
      v1::ExampleFacts* candidate = facts_.mutable_candidate()->add_examples();
      v1::ExampleFacts* champion = facts_.mutable_champion()->add_examples();
      for (v1::ExampleFacts* example : {candidate, champion}) {
        example->set_suite(suite);
        example->set_id(ExampleId(i));
        example->set_prompt("prompt " + std::to_string(i));
        example->set_target_tokens(static_cast<uint32_t>(10 + i % 7));
      }
      fill(i, candidate, champion);
    }
    v1::SuiteProof* proof = facts_.add_proofs();
    proof->set_suite(suite);
    proof->set_dataset(suite + "@1");
    proof->set_examples(n);
    proof->add_trained_on("train@1");
  }
  // Losses of about `level` nats a token; the candidate's are `change` higher on average.
  void AddLosses(const std::string& suite, uint64_t n, double level, double change,
                 double noise = 0.05, uint64_t seed = 1) {
    Random random(seed);
    AddSuite(suite, n, [&](uint64_t, v1::ExampleFacts* candidate, v1::ExampleFacts* champion) {
      const double tokens = candidate->target_tokens();
      const double old = level * (0.5 + Uniform(&random));
      champion->set_loss_sum(tokens * old);
      candidate->set_loss_sum(tokens * (old + change + noise * Normal(&random)));
    });
  }

  void RequireChampion(const std::string& metric, double margin, double confidence = 0.95) {
    v1::ChampionGate* gate = spec().mutable_champion();
    gate->set_required(true);
    gate->mutable_metric()->set_name(metric);
    gate->set_margin(margin);
    gate->set_confidence(confidence);
  }
  v1::Retention* Retain(const std::string& skill, const std::string& metric, double budget) {
    v1::Retention* retention = spec().add_retention();
    retention->set_name(skill);
    retention->mutable_metric()->set_name(metric);
    retention->set_budget(budget);
    retention->set_confidence(0.95);
    return retention;
  }
  v1::Goal* AskMax(const std::string& metric, double max, double confidence = 0.95) {
    v1::Goal* goal = spec().add_goals();
    goal->mutable_metric()->set_name(metric);
    goal->set_max(max);
    goal->set_confidence(confidence);
    return goal;
  }
  v1::Goal* AskMin(const std::string& metric, double min, double confidence = 0.95) {
    v1::Goal* goal = spec().add_goals();
    goal->mutable_metric()->set_name(metric);
    goal->set_min(min);
    goal->set_confidence(confidence);
    return goal;
  }

 private:
  v1::GateFacts facts_;
};

inline const v1::GateResult* FindGate(const v1::GateReport& report, const std::string& gate,
                                      const std::string& name = "") {
  for (const v1::GateResult& result : report.gates()) {
    if (result.gate() == gate && (name.empty() || result.name() == name)) return &result;
  }
  return nullptr;
}

}  // namespace attune::gates
