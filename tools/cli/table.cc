#include "tools/cli/table.h"

#include <algorithm>

#include "tools/cli/format.h"

namespace attune::cli {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kLeastShrunk = 10;

size_t Total(const std::vector<size_t>& widths) {
  size_t total = 0;
  for (size_t width : widths) total += width == 0 ? 0 : width + kGap;
  return total == 0 ? 0 : total - kGap;
}

}  // namespace

std::string Paint(const std::string& text, Style style, bool color) {
  const char* code = "";
  switch (style) {
    case Style::kNone:
      return text;
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kRed:
      code = "31";
      break;
    case Style::kGreen:
      code = "32";
      break;
    case Style::kYellow:
      code = "33";
      break;
    case Style::kCyan:
      code = "36";
      break;
  }
  if (!color || text.empty()) return text;
  return std::string("\033[") + code + "m" + text + "\033[0m";
}

Style StyleOf(v1::Job::State state) {
  switch (state) {
    case v1::Job::PREPARING:
    case v1::Job::RUNNING:
      return Style::kCyan;
    case v1::Job::PAUSED:
      return Style::kYellow;
    case v1::Job::SUCCEEDED:
      return Style::kGreen;
    case v1::Job::FAILED:
      return Style::kRed;
    case v1::Job::CANCELLED:
      return Style::kDim;
    default:
      return Style::kNone;
  }
}

std::vector<size_t> Table::Widths(size_t width) const {
  std::vector<size_t> widths(columns_.size());
  for (size_t c = 0; c < columns_.size(); ++c) {
    widths[c] = DisplayWidth(columns_[c].header);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], DisplayWidth(row[c].text));
  }
  if (width == 0) return widths;
  auto shrink = [&](size_t least) {
    while (Total(widths) > width) {
      size_t widest = columns_.size();
      for (size_t c = 0; c < columns_.size(); ++c) {
        if (!columns_[c].shrinks || widths[c] <= least) continue;
        if (widest == columns_.size() || widths[c] > widths[widest]) widest = c;
      }
      if (widest == columns_.size()) return;
      --widths[widest];
    }
  };
  shrink(2 * kLeastShrunk);
  for (size_t c = columns_.size(); c-- > 0 && Total(widths) > width;) {
    if (columns_[c].optional) widths[c] = 0;
  }
  shrink(kLeastShrunk);
  return widths;
}

std::string Table::Render(size_t width, bool color) const {
  std::vector<size_t> widths = Widths(width);
  std::string out;
  auto add_line = [&](const std::vector<Cell>& cells) {
    std::string line, gap;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (widths[c] == 0) continue;
      std::string text = Fit(cells[c].text, widths[c]);
      std::string blanks(widths[c] - DisplayWidth(text), ' ');
      std::string painted = Paint(text, cells[c].style, color);
      line += gap + (columns_[c].right ? blanks + painted : painted);
      gap = std::string(kGap, ' ') + (columns_[c].right ? "" : blanks);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  };
  std::vector<Cell> header;
  for (const Column& column : columns_) header.emplace_back(column.header, Style::kDim);
  add_line(header);
  for (const auto& row : rows_) add_line(row);
  return out;
}

}  // namespace attune::cli
