#include "coordinator/drift/detect.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/statistics/betting.h"
#include "common/statistics/chi_square.h"
#include "common/statistics/distances.h"
#include "common/statistics/fisher.h"
#include "common/statistics/population_stability.h"
#include "common/statistics/two_samples.h"
#include "coordinator/drift/correct.h"
#include "coordinator/drift/embeddings.h"
#include "coordinator/drift/enough.h"

namespace attune::drift {
namespace {

using Results = std::vector<v1::DetectorResult>;

constexpr double kExpectedLeast = 5;
constexpr size_t kWordsMost = 500;

v1::DetectorResult MakeResult(const char* detector, std::string feature, const char* effect_name) {
  v1::DetectorResult result;
  result.set_detector(detector);
  result.set_feature(std::move(feature));
  result.set_effect_name(effect_name);
  return result;
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

uint64_t Size(const Sample& sample) {
  size_t size = std::max({sample.lengths.size(), sample.losses.size(), sample.entropies.size(),
                          sample.labelled_losses.size(), sample.ids.size()});
  if (sample.dimension > 0) {
    size = std::max(size, sample.embeddings.size() / static_cast<size_t>(sample.dimension));
  }
  return size;
}

bool Enough(const std::vector<double>& reference, const std::vector<double>& window) {
  return reference.size() >= kExamplesLeast && window.size() >= kExamplesLeast;
}

// The index less what chance alone makes of it.
double ExcessStability(const statistics::CountTable& table, double n, double m) {
  const double index = statistics::PopulationStability(table.a, table.b);
  return std::max(0.0, index - statistics::PopulationStabilityOfChance(table.a.size(), n, m));
}

std::vector<double> Logarithms(const std::vector<double>& lengths) {
  std::vector<double> logarithms;
  for (const double length : lengths) logarithms.push_back(std::log1p(length));
  return logarithms;
}

// The distance of logarithms is a factor between lengths, whatever their spread: where all are
// nearly equal, a token more is no drift, though no bin and no standard deviation says so.
void DetectLength(const Sample& reference, const Sample& window, Results* results) {
  if (!Enough(reference.lengths, window.lengths)) return;
  const statistics::KsResult ks = statistics::KolmogorovSmirnov(reference.lengths, window.lengths);
  const std::vector<double> before = Logarithms(reference.lengths);
  const std::vector<double> now = Logarithms(window.lengths);
  v1::DetectorResult result = MakeResult("ks", "length", kRelativeChange);
  result.set_statistic(ks.distance);
  result.set_p_value(ks.p_value);
  result.set_effect(std::expm1(statistics::Beyond(statistics::Wasserstein(before, now),
                                                  statistics::WassersteinOfChance(before, now))));
  results->push_back(std::move(result));
}

// Of losses and entropies, which are positive: higher is worse.
void DetectIncrease(const char* feature, const std::vector<double>& reference,
                    const std::vector<double>& window, Results* results) {
  if (reference.size() < kHeldOutLeast || window.size() < kExamplesLeast) return;
  const statistics::KsResult ks = statistics::KolmogorovSmirnov(reference, window);
  v1::DetectorResult result = MakeResult("ks", feature, kRelativeIncrease);
  const double before = Mean(reference);
  result.set_statistic(ks.distance);
  result.set_p_value(ks.p_value);
  result.set_effect(before > 0 ? Mean(window) / before - 1 : 0);
  results->push_back(std::move(result));
}

void DetectCategory(const std::string& key, const std::map<std::string, uint64_t>& reference,
                    const std::map<std::string, uint64_t>& window, Results* results) {
  std::map<std::string, std::pair<double, double>> both;
  double n = 0, m = 0;
  for (const auto& [value, count] : reference) {
    both[value].first = static_cast<double>(count);
    n += static_cast<double>(count);
  }
  for (const auto& [value, count] : window) {
    both[value].second = static_cast<double>(count);
    m += static_cast<double>(count);
  }
  if (n < kExamplesLeast || m < kExamplesLeast) return;
  statistics::CountTable table;
  for (const auto& [value, counts] : both) {
    table.a.push_back(counts.first);
    table.b.push_back(counts.second);
  }
  table = statistics::MergeRare(table, kExpectedLeast);
  const statistics::ChiSquareResult test = statistics::ChiSquareOfHomogeneity(table.a, table.b);
  v1::DetectorResult result = MakeResult("chi_square", "category " + key, kPsi);
  result.set_statistic(test.statistic);
  result.set_p_value(test.p_value);
  result.set_effect(ExcessStability(table, n, m));
  results->push_back(std::move(result));
}

struct Word {
  uint64_t reference = 0, window = 0;  // examples that have it
};

// The words that the largest shares of examples have, of both samples together.
std::vector<Word> FrequentWords(const Sample& reference, const Sample& window) {
  std::map<std::string_view, Word> all;
  for (const auto& [word, count] : reference.words) all[word].reference = count;
  for (const auto& [word, count] : window.words) all[word].window = count;
  const auto n = static_cast<double>(Size(reference));
  const auto m = static_cast<double>(Size(window));
  std::vector<std::pair<double, Word>> ranked;
  for (const auto& [text, word] : all) {
    const double share =
        static_cast<double>(word.reference) / n + static_cast<double>(word.window) / m;
    ranked.emplace_back(share, word);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  ranked.resize(std::min(ranked.size(), kWordsMost));
  std::vector<Word> words;
  for (const auto& [share, word] : ranked) words.push_back(word);
  return words;
}

// Words of one text depend on each other, so counts of words are no multinomial sample. Examples
// are independent: each word has an exact test of the share of examples that have it, and the least
// p-value is corrected for all of them (Bonferroni), whatever they have to do with each other. Of
// the shares of words the distance is taken and no square of it: it grows with the share of
// examples that are new, while most words are those of any text.
void DetectVocabulary(const Sample& reference, const Sample& window, Results* results) {
  const uint64_t n = Size(reference), m = Size(window);
  if (n < kExamplesLeast || m < kExamplesLeast) return;
  const std::vector<Word> words = FrequentWords(reference, window);
  if (words.empty()) return;
  statistics::CountTable table;
  double least = 1, largest = 0;
  for (const Word& word : words) {
    const uint64_t of_reference = std::min(word.reference, n), of_window = std::min(word.window, m);
    table.a.push_back(static_cast<double>(of_reference));
    table.b.push_back(static_cast<double>(of_window));
    least = std::min(least, statistics::FisherExact(of_reference, n, of_window, m));
    largest =
        std::max(largest, std::abs(static_cast<double>(of_window) / static_cast<double>(m) -
                                   static_cast<double>(of_reference) / static_cast<double>(n)));
  }
  v1::DetectorResult result = MakeResult("fisher", "vocabulary", kJsDistance);
  result.set_statistic(largest);
  result.set_p_value(std::min(1.0, least * static_cast<double>(words.size())));
  const double words_n = std::accumulate(table.a.begin(), table.a.end(), 0.0);
  const double words_m = std::accumulate(table.b.begin(), table.b.end(), 0.0);
  if (words_n > 0 && words_m > 0) {
    result.set_effect(
        statistics::Beyond(statistics::JensenShannon(table.a, table.b),
                           statistics::JensenShannonOfChance(words.size(), words_n, words_m)));
  }
  results->push_back(std::move(result));
}

// What sampling leaves open of the reference's mean is spent here: its upper bound at this
// confidence stands for it.
constexpr double kReferenceZ = 2.326;  // 99 %

// Are live losses above the reference's? Bets over all labelled examples so far; see Judge.
void DetectQuality(const Sample& reference, const Sample& window, const v1::AlarmSpec& alarm,
                   Results* results) {
  const std::vector<double>& before = reference.labelled_losses;
  if (before.size() < kHeldOutLeast || window.labelled_losses.empty()) return;
  const double mean = Mean(before);
  const double least = alarm.quality_min() > 0 ? alarm.quality_min() : alarm.loss_min() * mean;
  v1::DetectorResult result = MakeResult("quality", "labelled loss", "increase");
  result.set_effect(Mean(window.labelled_losses) - mean);
  result.set_effect_min(least);
  // The bets need a range: losses beyond twice the largest of the reference count as that much,
  // which takes evidence away and adds none.
  const double range = 2 * *std::max_element(before.begin(), before.end());
  double squares = 0;
  for (const double loss : before) squares += (loss - mean) * (loss - mean);
  const double variance = squares / static_cast<double>(before.size() - 1);
  const double bound =
      mean + kReferenceZ * std::sqrt(variance / static_cast<double>(before.size()));
  if (range > 0 && bound < range) {
    std::vector<double> scaled;
    for (const double loss : window.labelled_losses) {
      scaled.push_back(std::clamp(loss / range, 0.0, 1.0));
    }
    statistics::BettingOptions betting;
    betting.bound = bound / range;
    betting.guess_mean = std::min(1.0, (bound + least) / range);
    betting.guess_variance = std::max(variance, 1e-12) / (range * range);
    result.set_statistic(statistics::LogBettingWealth(scaled, betting));
  }
  result.set_p_value(std::min(1.0, std::exp(-result.statistic())));
  results->push_back(std::move(result));
}

}  // namespace

Result<Results> Detect(const Sample& reference, const Sample& window,
                       const DetectOptions& options) {
  const v1::AlarmSpec alarm = WithDefaults(options.alarm);
  Results results;
  ATTUNE_RETURN_IF_ERROR(DetectEmbeddings(reference, window, options, &results));
  DetectLength(reference, window, &results);
  DetectVocabulary(reference, window, &results);
  for (const auto& [key, counts] : reference.categories) {
    const auto found = window.categories.find(key);
    if (found != window.categories.end()) DetectCategory(key, counts, found->second, &results);
  }
  DetectIncrease("loss", reference.losses, window.losses, &results);
  DetectIncrease("entropy", reference.entropies, window.entropies, &results);
  DetectQuality(reference, window, alarm, &results);
  const auto n = static_cast<double>(Size(reference)), m = static_cast<double>(Size(window));
  Correct(alarm, options.looks_per_week, n + m > 0 ? m / (n + m) : 0, &results);
  return results;
}

}  // namespace attune::drift
