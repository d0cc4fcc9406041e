#include "common/yaml/problems.h"

#include <algorithm>
#include <cstdio>

namespace attune::yaml {
namespace {

constexpr size_t kLineShown = 160;  // bytes; a longer line is cut around the caret

std::string_view LineOf(const Source& source, int number) {
  std::string_view text = source.text;
  for (int line = 1; line < number; ++line) {
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

bool StartsCharacter(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

// Characters from the caret to the end of the word or quoted string it stands on.
size_t WordLength(std::string_view rest) {
  if (rest.empty()) return 1;
  size_t end;
  if (rest[0] == '"' || rest[0] == '\'') {
    end = std::min(rest.find(rest[0], 1), rest.size() - 1) + 1;
  } else {
    end = std::min(rest.find_first_of(" \t,:=[]{}#", 1), rest.size());
  }
  return std::max<size_t>(1, Characters(rest.substr(0, end)));
}

// The line with a number before it and a caret under it.
std::string Quote(std::string_view line, int number, size_t offset) {
  size_t from = 0;
  if (line.size() > kLineShown && offset > kLineShown / 2) from = offset - kLineShown / 2;
  while (from > 0 && from < line.size() && !StartsCharacter(line[from])) --from;
  size_t to = std::min(line.size(), from + kLineShown);
  while (to < line.size() && !StartsCharacter(line[to])) ++to;
  std::string_view shown = line.substr(from, to - from);
  offset = std::min(offset - from, shown.size());

  char margin[32], blank[32];
  int width = std::snprintf(margin, sizeof margin, "%5d | ", number);
  std::snprintf(blank, sizeof blank, "%*s| ", width - 2, "");
  std::string under;
  for (char c : shown.substr(0, offset)) {
    if (c == '\t')
      under += '\t';
    else if (StartsCharacter(c))
      under += ' ';
  }
  under += '^' + std::string(WordLength(shown.substr(offset)) - 1, '~');
  return std::string(margin) + std::string(shown) + "\n" + blank + under;
}

}  // namespace

void Problems::Add(const Position& position, std::string field, const std::string& message) {
  if (++count_ == 1) field_ = std::move(field);
  if (shown_.size() >= kShown) return;
  if (position.source == nullptr || position.line < 1) {
    shown_.push_back(message);
    return;
  }
  std::string_view line = LineOf(*position.source, position.line);
  size_t offset = std::min<size_t>(std::max(position.column - 1, 0), line.size());
  size_t column = Characters(line.substr(0, offset)) + 1;
  shown_.push_back(position.source->name + ":" + std::to_string(position.line) + ":" +
                   std::to_string(column) + ": " + message + "\n" +
                   Quote(line, position.line, offset));
}

Status Problems::ToStatus() const {
  if (count_ == 0) return Status();
  std::string message;
  for (const std::string& problem : shown_) {
    if (!message.empty()) message += '\n';
    message += problem;
  }
  if (count_ > shown_.size()) {
    message += "\nand " + std::to_string(count_ - shown_.size()) + " more";
  }
  return InvalidArgument(std::move(message)).WithField(field_);
}

}  // namespace attune::yaml
