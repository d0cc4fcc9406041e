#include "coordinator/curation/banding.h"

#include <cmath>

#include "common/base/status.h"
#include "coordinator/curation/words.h"

namespace attune::curation {
namespace {

constexpr double kProbabilityMin = 0.99;
constexpr uint64_t kStep = 0x9e3779b97f4a7c15ULL;

// Equal bytes that make the estimate reach a similarity.
int EqualBytesFor(double similarity) {
  const double share = similarity * (255.0 / 256) + 1.0 / 256;
  return static_cast<int>(std::ceil(share * kPermutations - 1e-9));
}

// That of kPermutations trials at least `least` succeed.
double BinomialAtLeast(int least, double p) {
  if (p >= 1) return 1;
  double sum = 0;
  for (int k = least; k <= static_cast<int>(kPermutations); ++k) {
    const double n = kPermutations;
    const double choose = std::lgamma(n + 1) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1);
    sum += std::exp(choose + k * std::log(p) + (n - k) * std::log1p(-p));
  }
  return std::min(sum, 1.0);
}

}  // namespace

Banding BandingFor(double threshold) {
  ATTUNE_CHECK(threshold >= kThresholdMin && threshold <= kThresholdMax);
  Banding best{kPermutations, 1};
  for (size_t bytes = 2; bytes <= kPermutations / 8; ++bytes) {
    const Banding banding{kPermutations / bytes, bytes};
    if (CandidateProbability(banding, threshold) < kProbabilityMin) break;
    best = banding;
  }
  return best;
}

double CandidateProbability(const Banding& banding, double similarity) {
  const double band = std::pow(similarity, static_cast<double>(banding.bytes));
  return 1 - std::pow(1 - band, static_cast<double>(banding.bands));
}

double AcceptedSimilarity(double threshold) {
  return threshold - std::sqrt(threshold * (1 - threshold) / kPermutations);
}

double FoundProbability(double threshold, double similarity) {
  const double agree = similarity + (1 - similarity) / 256;
  // The two are nearly independent where it matters: whoever reaches the estimate shares a band.
  return CandidateProbability(BandingFor(threshold), similarity) *
         BinomialAtLeast(EqualBytesFor(AcceptedSimilarity(threshold)), agree);
}

void AppendBandKeys(const Banding& banding, const Signature& signature,
                    std::vector<uint64_t>* keys) {
  for (size_t band = 0; band < banding.bands; ++band) {
    uint64_t key = (band + 1) * kStep;
    for (size_t i = 0; i < banding.bytes; ++i) {
      key = (key ^ signature[band * banding.bytes + i]) * 0x100000001b3ULL;
    }
    keys->push_back(Mix64(key));
  }
}

}  // namespace attune::curation
