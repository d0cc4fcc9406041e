#pragma once

// How far two samples are apart, and how far chance alone takes them: effect sizes.

#include <cstddef>
#include <span>

namespace attune::statistics {

// What of a distance is left without what chance makes of it: the root of the difference of their
// squares, as independent deviations add up by squares; 0 where chance makes as much.
double Beyond(double distance, double of_chance);

// Wasserstein's (earth mover's) distance: the area between the empirical distribution functions,
// in the values' unit; of samples that are moved apart, by how much. Both have a value. scipy:
// wasserstein_distance(a, b).
double Wasserstein(std::span<const double> a, std::span<const double> b);

// What sampling alone makes of it on average: at each value the difference of two such functions is
// nearly normal, with variance H (1 - H)(1/n + 1/m), H of both samples together.
double WassersteinOfChance(std::span<const double> a, std::span<const double> b);

// Jensen and Shannon's distance of shares, from 0 to sqrt(ln 2): the root of their divergence
// (Lin 1991; Endres, Schindelin 2003). Each sample has a count. scipy: jensenshannon(a, b).
double JensenShannon(std::span<const double> a, std::span<const double> b);

// The root of what sampling alone makes of the divergence on average, (categories - 1)/8 (1/n +
// 1/m) (Grosse et al. 2002, Physical Review E 65).
double JensenShannonOfChance(size_t categories, double n, double m);

}  // namespace attune::statistics
