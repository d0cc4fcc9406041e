#pragma once

// Evidence that a mean is above a bound, valid however often and whenever one looks.

#include <span>

namespace attune::statistics {

struct BettingOptions {
  double bound = 0.5;     // of the mean, in (0, 1)
  double guess_mean = 0;  // what the first bets go by, as if seen guess_weight times
  double guess_variance = 0.1;
  double guess_weight = 20;
};

// log of the wealth of one who bets on values in [0, 1] that their mean is above the bound: the sum
// of log(1 + bet (value - bound)), each bet chosen from the values before it to make wealth grow
// fastest (Waudby-Smith, Ramdas 2023, JRSS B 86(1): "aGRAPA") and at most half of what could ruin.
// If the values, given those before, have means at most the bound, then exp of it is an e-process:
// it exceeds 1/a at any time with a chance of at most a (Ville 1939).
double LogBettingWealth(std::span<const double> values, const BettingOptions& options);

}  // namespace attune::statistics
