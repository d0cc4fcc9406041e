#include "tools/cli/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/cli/format.h"

namespace attune::cli {
namespace {

struct Bounds {
  double x_min, x_max, y_min, y_max;
};

bool Finite(const PlotPoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

bool Measure(const std::vector<PlotPoint>& line, const std::vector<PlotPoint>& marks,
             Bounds* bounds) {
  bool any = false;
  for (const auto* points : {&line, &marks}) {
    for (const PlotPoint& point : *points) {
      if (!Finite(point)) continue;
      if (!any) *bounds = {point.x, point.x, point.y, point.y};
      any = true;
      bounds->x_min = std::min(bounds->x_min, point.x),
      bounds->x_max = std::max(bounds->x_max, point.x);
      bounds->y_min = std::min(bounds->y_min, point.y),
      bounds->y_max = std::max(bounds->y_max, point.y);
    }
  }
  return any;
}

int Scale(double value, double low, double high, int cells) {
  if (!(high > low)) return 0;
  return std::clamp(static_cast<int>(std::lround((value - low) / (high - low) * (cells - 1))), 0,
                    cells - 1);
}

// The character U+2800 + dots as UTF-8.
std::string Braille(int dots) {
  int code = 0x2800 + dots;
  return {static_cast<char>(0xe0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 0x3f)),
          static_cast<char>(0x80 | (code & 0x3f))};
}

class Canvas {
 public:
  Canvas(int width, int height)
      : width_(width), dots_(width * height), marked_(width * height), rows_(height) {}

  void Dot(int x, int y) {  // in dots, y from the top
    static constexpr int kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    dots_[(y / 4) * width_ + x / 2] |= kBits[y % 4][x % 2];
  }
  void Mark(int x, int y) { marked_[(y / 4) * width_ + x / 2] = true; }
  std::string Row(int row) const {
    std::string out;
    for (int c = 0; c < width_; ++c) {
      int cell = row * width_ + c;
      out += marked_[cell] ? "●" : dots_[cell] == 0 ? " " : Braille(dots_[cell]);
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
  }
  int rows() const { return rows_; }

 private:
  const int width_;
  std::vector<int> dots_;
  std::vector<bool> marked_;
  const int rows_;
};

void DrawLine(const std::vector<PlotPoint>& line, const Bounds& b, int width, int height,
              Canvas* canvas) {
  int last_x = -1, last_y = -1;
  for (const PlotPoint& point : line) {
    if (!Finite(point)) continue;
    int x = Scale(point.x, b.x_min, b.x_max, width * 2);
    int y = height * 4 - 1 - Scale(point.y, b.y_min, b.y_max, height * 4);
    int steps = last_x < 0 ? 0 : std::max(std::abs(x - last_x), std::abs(y - last_y));
    for (int i = 0; i <= steps; ++i) {
      double t = steps == 0 ? 1 : static_cast<double>(i) / steps;
      canvas->Dot(steps == 0 ? x : static_cast<int>(std::lround(last_x + t * (x - last_x))),
                  steps == 0 ? y : static_cast<int>(std::lround(last_y + t * (y - last_y))));
    }
    last_x = x, last_y = y;
  }
}

}  // namespace

std::string Plot(const std::vector<PlotPoint>& line, const std::vector<PlotPoint>& marks, int width,
                 int height) {
  Bounds bounds{};
  constexpr int kLabel = 8;
  int inner = width - kLabel - 2;
  if (!Measure(line, marks, &bounds) || inner < 4 || height < 2) return "";
  Canvas canvas(inner, height);
  DrawLine(line, bounds, inner, height, &canvas);
  for (const PlotPoint& mark : marks) {
    if (!Finite(mark)) continue;
    canvas.Mark(Scale(mark.x, bounds.x_min, bounds.x_max, inner * 2),
                height * 4 - 1 - Scale(mark.y, bounds.y_min, bounds.y_max, height * 4));
  }
  std::string out;
  for (int row = 0; row < canvas.rows(); ++row) {
    std::string label = row == 0                   ? FormatLoss(bounds.y_max)
                        : row + 1 == canvas.rows() ? FormatLoss(bounds.y_min)
                                                   : "";
    out += std::string(kLabel - std::min<size_t>(label.size(), kLabel), ' ') + label + " │" +
           canvas.Row(row) + "\n";
  }
  std::string left = FormatNumber(bounds.x_min), right = FormatNumber(bounds.x_max);
  int gap = std::max(1, inner - static_cast<int>(left.size() + right.size()));
  return out + std::string(kLabel + 2, ' ') + left + std::string(gap, ' ') + right + "\n";
}

}  // namespace attune::cli
