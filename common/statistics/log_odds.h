#pragma once

namespace attune::statistics {

// How much more often a word is in one corpus than in another: the difference of its log odds with
// an informative Dirichlet prior, in standard deviations (Monroe, Colaresi, Quinn 2008, Political
// Analysis 16(4), equations 15, 16, 22). count of total in each; the prior is pseudo-counts of
// both.
double LogOddsZ(double count_a, double total_a, double count_b, double total_b, double prior_count,
                double prior_total);

}  // namespace attune::statistics
