#include "coordinator/drift/labelled_loss.h"

#include <cmath>

#include "common/statistics/two_samples.h"

namespace attune::drift {
namespace {

struct Moments {
  double count = 0, mean = 0, variance = 0;
};

Moments Together(const Moments& a, const Moments& b) {
  const double count = a.count + b.count, apart = a.mean - b.mean;
  return {count, (a.count * a.mean + b.count * b.mean) / count,
          (a.count * a.variance + b.count * b.variance) / count +
              a.count * b.count / (count * count) * apart * apart};
}

Moments Own(const v1::LabelledLoss& loss) {
  return {static_cast<double>(loss.examples()), loss.mean(), loss.variance()};
}

Moments First(const v1::LabelledLoss& loss) {
  return {static_cast<double>(loss.first_examples()), loss.first_mean(), loss.first_variance()};
}

// The normal's stands for Student's tail (Welch): from so many examples on it is near enough.
constexpr uint64_t kNowLeast = 30;

// One-sided, of two independent means.
double ChanceOfIncrease(const Moments& before, const Moments& now) {
  const double increase = now.mean - before.mean;
  const double error = std::sqrt(before.variance / before.count + now.variance / now.count);
  if (error > 0) return statistics::NormalTail(increase / error);
  return increase > 0 ? 0 : 1;
}

}  // namespace

v1::LabelledLoss SummarizeLosses(const std::vector<double>& losses) {
  Moments all;
  for (const double loss : losses) all = Together(all, {1, loss, 0});
  v1::LabelledLoss summary;
  summary.set_examples(losses.size());
  summary.set_mean(all.mean);
  summary.set_variance(all.variance);
  return summary;
}

void CompareWithFirst(const std::vector<v1::Window>& before, v1::Window* window) {
  if (!window->has_labelled_loss()) return;
  Moments first;
  for (const v1::Window& earlier : before) {
    if (!earlier.has_labelled_loss()) continue;
    first = First(earlier.labelled_loss());
    if (first.count < kFirstExamples && !earlier.excluded()) {
      first = Together(first, Own(earlier.labelled_loss()));
    }
  }
  v1::LabelledLoss* loss = window->mutable_labelled_loss();
  loss->set_first_examples(static_cast<uint64_t>(first.count));
  loss->set_first_mean(first.mean);
  loss->set_first_variance(first.variance);
  loss->set_increase(0);
  loss->set_p_value(1);
  if (first.count < kFirstExamples || loss->examples() < kNowLeast) return;
  loss->set_increase(loss->mean() - first.mean);
  loss->set_p_value(ChanceOfIncrease(first, Own(*loss)));
}

}  // namespace attune::drift
