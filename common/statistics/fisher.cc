#include "common/statistics/fisher.h"

#include <algorithm>
#include <cmath>

#include "common/base/status.h"

namespace attune::statistics {
namespace {

double LogFactorial(double n) {
  int sign = 0;  // lgamma's own sign is a global variable
  return lgamma_r(n + 1, &sign);
}

double LogChoose(double n, double k) {
  return LogFactorial(n) - LogFactorial(k) - LogFactorial(n - k);
}

// P(X >= a) of the hypergeometric distribution: a of n and sum - a of m.
double UpperTail(double a, double n, double sum, double m) {
  const double last = std::min(n, sum);
  double term = std::exp(LogChoose(n, a) + LogChoose(m, sum - a) - LogChoose(n + m, sum));
  double tail = 0;
  for (double x = a; x <= last; ++x) {
    tail += term;
    if (term < 1e-17 * tail && x > n * sum / (n + m)) break;
    term *= (n - x) * (sum - x) / ((x + 1) * (m - sum + x + 1));
  }
  return tail;
}

}  // namespace

double FisherExact(uint64_t a, uint64_t n, uint64_t b, uint64_t m) {
  ATTUNE_CHECK(a <= n && b <= m);
  const auto x = static_cast<double>(a), y = static_cast<double>(b);
  const auto first = static_cast<double>(n), second = static_cast<double>(m);
  if (n == 0 || m == 0 || a + b == 0 || a + b == n + m) return 1;
  // The tail on the side where a lies; the other one has at least half.
  const double tail = x / first >= y / second ? UpperTail(x, first, x + y, second)
                                              : UpperTail(y, second, x + y, first);
  return std::min(1.0, 2 * tail);
}

}  // namespace attune::statistics
