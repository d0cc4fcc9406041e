#pragma once

#include <string>
#include <vector>

namespace attune::cli {

struct PlotPoint {
  double x, y;
};

// A plot for the terminal in braille dots (two by four in a character), marks drawn as ● over it, y
// labels at the left, x labels below. Points that are not finite are left out; "" when none is
// left.
std::string Plot(const std::vector<PlotPoint>& line, const std::vector<PlotPoint>& marks, int width,
                 int height);

}  // namespace attune::cli
