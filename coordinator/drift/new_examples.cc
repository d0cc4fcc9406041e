#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "common/statistics/fisher.h"
#include "common/statistics/k_means.h"
#include "common/statistics/log_odds.h"
#include "coordinator/drift/detect.h"
#include "coordinator/drift/embeddings.h"
#include "coordinator/drift/words.h"

namespace attune::drift {
namespace {

using statistics::Nearest;

constexpr size_t kReferenceLeast = 50;
constexpr size_t kReferenceMost = 20000;  // a random part of a larger one
constexpr size_t kMembersOfCluster = 50;  // on average, of the half that clusters are fitted on
constexpr size_t kClustersMost = 16;
constexpr double kInside = 0.99;  // of the reference lies within the radii
constexpr double kChance = 0.01;  // of reporting what is no more than that
constexpr size_t kNewLeast = 3;
constexpr size_t kGroupsMost = 5;
constexpr double kSilhouetteLeast = 0.25;  // below it a division into groups means nothing
constexpr int kWordsMost = 8, kSamplesMost = 5;
constexpr size_t kSampleBytes = 200;
constexpr double kWordZLeast = 1.96;

// Clusters of the reference with the radius of each. Clusters are fitted on one half, and radii
// measured on the other: a center lies closer to the examples that made it than to any others.
struct Reference {
  size_t dimension = 0;
  std::vector<float> centers;
  std::vector<double> radii;
  uint64_t held_out = 0, outside = 0;  // of the second half: all, beyond their radius
};

double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  return values[at];
}

// The radius is the cluster's mean distance times one factor for all clusters, so that small ones
// need no quantile of their own.
void MeasureRadii(std::span<const float> rows, Reference* reference) {
  const std::vector<Nearest> nearest =
      statistics::FindNearest(rows, reference->centers, reference->dimension, 2);
  const size_t clusters = reference->centers.size() / reference->dimension;
  std::vector<double> sums(clusters, 0.0), counts(clusters, 0.0);
  double all = 0;
  for (const Nearest& row : nearest) {
    sums[row.center] += row.distance;
    counts[row.center] += 1;
    all += row.distance;
  }
  const double mean = all / static_cast<double>(nearest.size());
  for (size_t c = 0; c < clusters; ++c) {
    reference->radii.push_back(counts[c] < 5 || sums[c] <= 0 ? mean : sums[c] / counts[c]);
  }
  std::vector<double> ratios;
  for (const Nearest& row : nearest) {
    const double scale = reference->radii[row.center];
    ratios.push_back(scale > 0 ? row.distance / scale : 0);
  }
  const double factor = Quantile(ratios, kInside);
  for (double& radius : reference->radii) radius *= factor;
  reference->held_out = nearest.size();
  for (const double ratio : ratios) reference->outside += ratio > factor ? 1 : 0;
}

Reference FitReference(std::span<const float> rows, size_t dimension, uint64_t seed) {
  Reference reference;
  reference.dimension = dimension;
  const size_t count = rows.size() / dimension, used = std::min(count, kReferenceMost);
  Random random(seed);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::vector<float> halves[2];
  for (size_t i = 0; i < used; ++i) {
    std::swap(order[i], order[i + random.Below(count - i)]);
    const auto row = rows.subspan(order[i] * dimension, dimension);
    halves[i % 2].insert(halves[i % 2].end(), row.begin(), row.end());
  }
  statistics::KMeansOptions options;
  options.clusters = std::clamp<size_t>(used / 2 / kMembersOfCluster, 1, kClustersMost);
  options.seed = seed;
  reference.centers = statistics::KMeans(halves[0], dimension, options);
  MeasureRadii(halves[1], &reference);
  return reference;
}

// How well rows sit in their groups (Rousseeuw 1987, with centers in place of all pairs).
double Silhouette(const std::vector<Nearest>& nearest) {
  double sum = 0;
  for (const Nearest& row : nearest) {
    sum += row.second > 0 ? 1 - row.distance / row.second : 0;
  }
  return sum / static_cast<double>(nearest.size());
}

// Where each row belongs, in as many groups as are clearly apart.
std::vector<Nearest> Group(std::span<const float> rows, size_t dimension, uint64_t seed) {
  statistics::KMeansOptions options;
  options.seed = seed;
  options.clusters = 1;
  std::vector<Nearest> best = statistics::FindNearest(
      rows, statistics::KMeans(rows, dimension, options), dimension, options.threads);
  double least = kSilhouetteLeast;
  const size_t most = std::min(kGroupsMost, rows.size() / dimension / kNewLeast);
  for (options.clusters = 2; options.clusters <= most; ++options.clusters) {
    std::vector<Nearest> nearest = statistics::FindNearest(
        rows, statistics::KMeans(rows, dimension, options), dimension, options.threads);
    const double silhouette = Silhouette(nearest);
    if (silhouette <= least) continue;
    least = silhouette;
    best = std::move(nearest);
  }
  return best;
}

// Words of the members' texts that the reference has far less often.
void AddWords(const Sample& reference, const Sample& window, const std::vector<size_t>& members,
              v1::NewCluster* cluster) {
  std::map<std::string, double> here;
  for (const size_t member : members) {
    if (member >= window.texts.size()) continue;
    for (const std::string& word : DistinctWords(window.texts[member])) here[word] += 1;
  }
  double total_here = 0, total_there = 0;
  for (const auto& [word, count] : here) total_here += count;
  for (const auto& [word, count] : reference.words) total_there += static_cast<double>(count);
  std::vector<std::pair<double, std::string>> ranked;
  for (const auto& [word, count] : here) {
    const auto found = reference.words.find(word);
    const double there = found == reference.words.end() ? 0 : static_cast<double>(found->second);
    if (count < 2) continue;
    // The prior is what both have together, with half a word more so that nothing is 0.
    const double z = statistics::LogOddsZ(count, total_here, there, total_there,
                                          count + there + 0.5, total_here + total_there);
    if (z > kWordZLeast) ranked.emplace_back(-z, word);
  }
  std::sort(ranked.begin(), ranked.end());
  for (size_t i = 0; i < ranked.size() && i < kWordsMost; ++i) {
    cluster->add_words(ranked[i].second);
  }
}

// The rows of the window beyond every radius, or none when chance gives as many.
std::vector<size_t> FindOutside(const std::vector<Nearest>& nearest, const Reference& reference) {
  std::vector<size_t> outside;
  for (size_t i = 0; i < nearest.size(); ++i) {
    if (nearest[i].distance > reference.radii[nearest[i].center]) outside.push_back(i);
  }
  const double share = static_cast<double>(outside.size()) / static_cast<double>(nearest.size());
  const double usual =
      static_cast<double>(reference.outside) / static_cast<double>(reference.held_out);
  if (outside.size() < kNewLeast || share <= usual) return {};
  const double chance = statistics::FisherExact(reference.outside, reference.held_out,
                                                outside.size(), nearest.size());
  return chance > kChance ? std::vector<size_t>() : outside;
}

// members: rows of the window, the most typical first.
v1::NewCluster Describe(const Sample& reference, const Sample& window, const Reference& fitted,
                        const std::vector<Nearest>& nearest, const std::vector<size_t>& members) {
  v1::NewCluster cluster;
  cluster.set_examples(members.size());
  double sum = 0;
  for (const size_t row : members) {
    const double radius = fitted.radii[nearest[row].center];
    sum += radius > 0 ? nearest[row].distance / radius : 0;
    if (cluster.sample_ids_size() == kSamplesMost || row >= window.ids.size()) continue;
    cluster.add_sample_ids(window.ids[row]);
    if (row < window.texts.size()) {
      cluster.add_samples(Shorten(ToValidUtf8(window.texts[row]), kSampleBytes));
    }
  }
  cluster.set_distance(sum / static_cast<double>(members.size()));
  AddWords(reference, window, members, &cluster);
  return cluster;
}

}  // namespace

std::vector<v1::NewCluster> FindNew(const Sample& reference, const Sample& window, uint64_t seed) {
  if (EmbeddedExamples(reference) < kReferenceLeast || EmbeddedExamples(window) == 0 ||
      !CheckEmbeddings(reference, window).ok()) {
    return {};
  }
  const auto dimension = static_cast<size_t>(reference.dimension);
  const std::span<const float> base[] = {reference.embeddings};
  const Standardizer standardize(base, dimension);
  const Reference fitted = FitReference(standardize(reference.embeddings), dimension, seed);
  const std::vector<float> rows = standardize(window.embeddings);
  const std::vector<Nearest> nearest = statistics::FindNearest(rows, fitted.centers, dimension, 2);
  const std::vector<size_t> outside = FindOutside(nearest, fitted);
  if (outside.empty()) return {};
  std::vector<float> new_rows;
  for (const size_t row : outside) {
    const auto values = std::span(rows).subspan(row * dimension, dimension);
    new_rows.insert(new_rows.end(), values.begin(), values.end());
  }
  const std::vector<Nearest> groups = Group(new_rows, dimension, seed);
  std::map<size_t, std::vector<std::pair<double, size_t>>> members;  // distance and row, by group
  for (size_t i = 0; i < groups.size(); ++i) {
    members[groups[i].center].emplace_back(groups[i].distance, outside[i]);
  }
  std::vector<v1::NewCluster> clusters;
  for (auto& [group, ranked] : members) {
    std::sort(ranked.begin(), ranked.end());
    std::vector<size_t> of_window;
    for (const auto& [distance, row] : ranked) of_window.push_back(row);
    clusters.push_back(Describe(reference, window, fitted, nearest, of_window));
  }
  std::stable_sort(clusters.begin(), clusters.end(),
                   [](const auto& a, const auto& b) { return a.examples() > b.examples(); });
  return clusters;
}

}  // namespace attune::drift
