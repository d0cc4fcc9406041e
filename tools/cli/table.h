#pragma once

#include <string>
#include <vector>

#include "attune/v1/jobs.pb.h"

namespace attune::cli {

enum class Style { kNone, kBold, kDim, kRed, kGreen, kYellow, kCyan };

// The text in the style's escape codes when color is on.
std::string Paint(const std::string& text, Style style, bool color);
Style StyleOf(v1::Job::State state);

// A table for the terminal: columns as wide as their longest cell. When that is too wide, columns
// that may shrink are cut with "…", and after that columns are left out from the right, the first
// ones never.
class Table {
 public:
  struct Column {
    std::string header;
    bool right = false;  // numbers
    bool shrinks = false;
    bool optional = false;  // may be left out
  };
  struct Cell {
    Cell(std::string t, Style s = Style::kNone) : text(std::move(t)), style(s) {}
    Cell(const char* t) : text(t) {}
    std::string text;
    Style style = Style::kNone;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // width 0: no limit.
  std::string Render(size_t width, bool color) const;

 private:
  std::vector<size_t> Widths(size_t width) const;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace attune::cli
