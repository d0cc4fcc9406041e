// False alarms and power of drift detection on texts of which the truth is known; not a test.
//
// usage: drift_simulation --texts FILE [--weeks 1000] [--trials 50] [--threads 2] [--reference
// 1000]
//                         [--window 200] [--looks 7]
//
// FILE: tests/bench/drift_texts.py. Samples are drawn from it with replacement. Loss and entropy
// are mean and spread of the words' negative log frequencies. Texts of three modules are left out
// of the reference: they are what is new. Prints the tables of docs/drift.md.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/parallel_for.h"
#include "coordinator/drift/correct.h"
#include "coordinator/drift/detect.h"
#include "coordinator/drift/level.h"
#include "coordinator/drift/words.h"
#include "tests/unit/drift/world.h"

namespace attune::drift {
namespace {

using test::Change;
using test::Pool;

constexpr int kWindowsOfReference = 28;  // then a model is trained anew
const char* const kNewTopics[] = {"tkinter", "idlelib", "turtle"};

struct Settings {
  std::string texts;
  int weeks = 1000, trials = 50, threads = 2;
  size_t reference = 1000, window = 200;
  double looks = 7;
};

struct Pools {
  Pool usual, other;
};

Pools ReadPools(const std::string& file) {
  std::ifstream input(file);
  std::vector<test::Example> examples;
  std::map<std::string, double> rarity;
  for (std::string line; std::getline(input, line);) {
    const nlohmann::json row = nlohmann::json::parse(line);
    test::Example example;
    example.text = row.at("text");
    example.category = row.at("topic");
    example.embedding = row.at("embedding").get<std::vector<float>>();
    example.words = DistinctWords(example.text);
    if (example.words.empty()) continue;
    for (const std::string& word : example.words) ++rarity[word];
    examples.push_back(std::move(example));
  }
  for (auto& [word, value] : rarity) {
    value = std::log(static_cast<double>(examples.size()) / value);
  }
  Pools pools;
  for (test::Example& example : examples) {
    const auto count = static_cast<double>(example.words.size());
    double squares = 0;
    for (const std::string& word : example.words) {
      example.loss += rarity.at(word) / count;
      squares += rarity.at(word) * rarity.at(word) / count;
    }
    example.entropy = std::sqrt(std::max(0.0, squares - example.loss * example.loss)) + 0.5;
    example.length = std::round(static_cast<double>(example.text.size()) / 4);
    const bool is_new = std::find(std::begin(kNewTopics), std::end(kNewTopics), example.category) !=
                        std::end(kNewTopics);
    (is_new ? pools.other : pools.usual).push_back(std::move(example));
  }
  return pools;
}

v1::Window Measure(const Sample& reference, const Sample& sample, const Settings& settings,
                   uint64_t seed) {
  DetectOptions options;
  options.looks_per_week = settings.looks;
  options.seed = seed;
  options.threads = 1;
  v1::Window window;
  window.set_state("measured");
  const std::vector<v1::DetectorResult> results = Detect(reference, sample, options).value();
  for (const v1::DetectorResult& result : results) *window.add_detectors() = result;
  return window;
}

// The windows as they would have been judged by another spec.
void JudgeAgain(const DetectOptions& options, double correlation,
                std::vector<v1::Window>* windows) {
  const v1::AlarmSpec alarm = WithDefaults(options.alarm);
  std::vector<v1::Window> before;
  for (v1::Window& window : *windows) {
    std::vector<v1::DetectorResult> results(window.detectors().begin(), window.detectors().end());
    Correct(alarm, options.looks_per_week, correlation, &results);
    for (size_t i = 0; i < results.size(); ++i) {
      if (alarm.quality_min() > 0 && results[i].detector() == kQuality) {
        results[i].set_effect_min(alarm.quality_min());
      }
      *window.mutable_detectors(static_cast<int>(i)) = results[i];
    }
    Judge(before, options, &window);
    before.push_back(window);
  }
}

struct Rule {
  const char* name;
  double alarms;
  uint32_t persistence;
  bool effects;      // minima as they are by default, else none
  bool independent;  // as if windows did not share the reference
};

DetectOptions OptionsOf(const Rule& rule, const Settings& settings) {
  DetectOptions options;
  options.looks_per_week = settings.looks;
  options.alarm.set_false_alarms_per_week(rule.alarms);
  options.alarm.set_persistence(rule.persistence);
  if (!rule.effects) {
    options.alarm.set_psi_min(1e-9);
    options.alarm.set_auc_min(1e-9);
    options.alarm.set_length_min(1e-9);
    options.alarm.set_vocabulary_min(1e-9);
    options.alarm.set_loss_min(1e-9);
    options.alarm.set_quality_min(1e-9);
  }
  return options;
}

using Blocks = std::vector<std::vector<v1::Window>>;  // of one reference each

void PrintFalseAlarms(Blocks blocks, const Settings& settings) {
  const double shared = static_cast<double>(settings.window) /
                        static_cast<double>(settings.window + settings.reference);
  const Rule rules[] = {
      {"the defaults", 0.05, 2, true, false},
      {"no effect minima", 0.05, 2, false, false},
      {"no effect minima", 0.05, 1, false, false},
      {"no effect minima", 0.005, 2, false, false},
      {"no effect minima, as if windows were independent", 0.005, 2, false, true},
      {"no effect minima", 0.2, 1, false, false},
      {"as by default, but more alarms", 0.2, 1, true, false},
  };
  std::printf(
      "\n| rule | stated a week | windows in a row | measured a week | windows drifted |\n");
  std::printf("|---|---|---|---|---|\n");
  for (const Rule& rule : rules) {
    const DetectOptions options = OptionsOf(rule, settings);
    int alarms = 0, drifted = 0, windows = 0;
    for (std::vector<v1::Window>& block : blocks) {
      JudgeAgain(options, rule.independent ? 0 : shared, &block);
      for (size_t i = 0; i < block.size(); ++i) {
        ++windows;
        drifted += block[i].drifted() ? 1 : 0;
        alarms += block[i].alarm() && (i == 0 || !block[i - 1].alarm()) ? 1 : 0;
      }
    }
    const double weeks = windows / settings.looks;
    std::printf("| %s | %.3f | %u | %.4f (%d in %.0f weeks) | %.4f |\n", rule.name, rule.alarms,
                rule.persistence, alarms / weeks, alarms, weeks,
                static_cast<double>(drifted) / windows);
  }
}

// Of each detector, how often its p-value is at most a level.
void PrintLevels(const Blocks& blocks) {
  std::map<std::string, std::vector<double>> p_values;
  for (const std::vector<v1::Window>& block : blocks) {
    for (const v1::Window& window : block) {
      for (const v1::DetectorResult& result : window.detectors()) {
        if (result.detector() == kQuality) continue;
        p_values[result.feature() + " (" + result.detector() + ")"].push_back(result.p_value());
      }
    }
  }
  std::printf("\n| detector | p <= 0.05 | p <= 0.01 | p <= 0.001 |\n|---|---|---|---|\n");
  for (const auto& [name, values] : p_values) {
    std::printf("| %s |", name.c_str());
    for (const double level : {0.05, 0.01, 0.001}) {
      const auto below =
          std::count_if(values.begin(), values.end(), [&](double p) { return p <= level; });
      std::printf(" %.4f |", static_cast<double>(below) / static_cast<double>(values.size()));
    }
    std::printf("\n");
  }
}

void SimulateWithoutDrift(const Pools& pools, const Settings& settings) {
  const auto windows = static_cast<size_t>(settings.weeks * settings.looks);
  Blocks blocks(windows / kWindowsOfReference);
  const Status done = ParallelFor(blocks.size(), settings.threads, [&](size_t block) {
    Random random(block + 1);
    const Sample reference = test::Draw(pools.usual, settings.reference, random);
    for (int i = 0; i < kWindowsOfReference; ++i) {
      blocks[block].push_back(Measure(reference, test::Draw(pools.usual, settings.window, random),
                                      settings, random.Next()));
    }
    return Status();
  });
  ATTUNE_CHECK(done.ok());
  PrintFalseAlarms(blocks, settings);
  PrintLevels(blocks);
}

struct Case {
  const char* name;
  Change change;
};

// Windows from the change on until the alarm, and the detector that was strongest then.
void SimulateDrift(const Pools& pools, const Case& drift, const Settings& settings) {
  const int most = static_cast<int>(2 * settings.looks);
  Mutex mutex;
  std::vector<int> delays;
  std::map<std::string, int> drifted;
  double auc = 0;
  const Status done =
      ParallelFor(static_cast<size_t>(settings.trials), settings.threads, [&](size_t trial) {
        Random random(trial + 900001);
        const Sample reference = test::Draw(pools.usual, settings.reference, random);
        std::vector<v1::Window> before;
        DetectOptions options;
        options.looks_per_week = settings.looks;
        int delay = 0;
        while (delay < most && (before.empty() || !before.back().alarm())) {
          ++delay;
          v1::Window window =
              Measure(reference,
                      test::Draw(pools.usual, settings.window, random, drift.change, pools.other),
                      settings, random.Next());
          Judge(before, options, &window);
          before.push_back(std::move(window));
        }
        MutexLock lock(&mutex);
        delays.push_back(before.back().alarm() ? delay : most + 1);
        for (const v1::DetectorResult& result : before.back().detectors()) {
          if (result.drifted()) ++drifted[result.feature() + " (" + result.detector() + ")"];
          if (result.detector() == "domain_classifier") auc += result.effect() / settings.trials;
        }
        return Status();
      });
  ATTUNE_CHECK(done.ok());
  std::sort(delays.begin(), delays.end());
  const auto alarmed =
      std::count_if(delays.begin(), delays.end(), [&](int delay) { return delay <= most; });
  const int median = delays[delays.size() / 2];
  std::string by;
  for (const auto& [name, count] : drifted) {
    if (count * 4 >= settings.trials) by += (by.empty() ? "" : ", ") + name;
  }
  std::printf("| %s | %.2f | %.2f | %s | %s |\n", drift.name, auc,
              static_cast<double>(alarmed) / settings.trials,
              median <= most ? std::to_string(median).c_str() : "-", by.c_str());
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--texts") settings.texts = argv[i + 1];
    if (flag == "--weeks") settings.weeks = std::atoi(argv[i + 1]);
    if (flag == "--trials") settings.trials = std::atoi(argv[i + 1]);
    if (flag == "--threads") settings.threads = std::atoi(argv[i + 1]);
    if (flag == "--reference") settings.reference = static_cast<size_t>(std::atoi(argv[i + 1]));
    if (flag == "--window") settings.window = static_cast<size_t>(std::atoi(argv[i + 1]));
    if (flag == "--looks") settings.looks = std::atof(argv[i + 1]);
  }
  const Pools pools = ReadPools(settings.texts);
  if (pools.usual.empty() || pools.other.empty()) {
    std::fprintf(stderr,
                 "drift_simulation: --texts FILE has no texts; tests/bench/drift_texts.py "
                 "writes it\n");
    return 2;
  }
  std::printf("%zu texts, %zu of new topics; reference %zu, windows of %zu, %.0f a week\n",
              pools.usual.size() + pools.other.size(), pools.other.size(), settings.reference,
              settings.window, settings.looks);
  if (settings.weeks > 0) SimulateWithoutDrift(pools, settings);
  const Case cases[] = {
      {"none", {}},
      {"5 % of new topics", {.new_share = 0.05}},
      {"10 % of new topics", {.new_share = 0.1}},
      {"20 % of new topics", {.new_share = 0.2}},
      {"40 % of new topics", {.new_share = 0.4}},
      {"loss 3 % up", {.loss = 1.03}},
      {"loss 6 % up", {.loss = 1.06}},
      {"loss 10 % up", {.loss = 1.1}},
      {"loss 20 % up", {.loss = 1.2}},
      {"texts 20 % longer", {.length = 1.2}},
      {"texts 50 % longer", {.length = 1.5}},
      {"texts twice as long", {.length = 2}},
  };
  if (settings.trials > 0) {
    std::printf(
        "\n| drift | AUC | alarm within two weeks | windows to the alarm (median) | found by |\n");
    std::printf("|---|---|---|---|---|\n");
    for (const Case& drift : cases) SimulateDrift(pools, drift, settings);
  }
  return 0;
}

}  // namespace
}  // namespace attune::drift

int main(int argc, char** argv) {
  return attune::drift::Run(argc, argv);
}
