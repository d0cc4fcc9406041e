#include "coordinator/datasets/sources/format.h"

#include <algorithm>
#include <array>

namespace attune::datasets {
namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr std::string_view kEncryptedParquetMagic = "PARE";
constexpr std::string_view kColumns[] = {"messages",   "conversations", "prompt",
                                         "completion", "instruction",   "output",
                                         "text",       "chosen",        "rejected"};

struct Delimiter {
  char character;
  std::string_view name;
};
constexpr std::array<Delimiter, 4> kDelimiters = {
    {{',', "comma"}, {'\t', "tab"}, {';', "semicolon"}, {'|', "pipe"}}};

// The name's ending in lower case, without what a compression adds.
std::string EndingOf(std::string_view file) {
  std::string name(file);
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (std::string_view packed : {".gz", ".zst", ".zstd"}) {
    if (name.ends_with(packed)) name.resize(name.size() - packed.size());
  }
  const size_t dot = name.find_last_of("./");
  return dot == std::string::npos || name[dot] == '/' ? "" : name.substr(dot);
}

bool IsKnown(std::string_view column) {
  return std::ranges::find(kColumns, column) != std::end(kColumns);
}

// How often each delimiter stands outside of quotes in the first row that is not blank; nothing
// when the text ends within it.
using DelimiterCounts = std::array<size_t, kDelimiters.size()>;
std::optional<DelimiterCounts> CountInFirstRow(std::string_view text, bool all) {
  text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
  DelimiterCounts counts{};
  bool quoted = false, opens = true;  // whether a quote that comes next opens, also anew as in ""
  for (const char c : text) {
    if (quoted) {
      quoted = c != '"';
      opens = !quoted;
      continue;
    }
    if (c == '\n') return counts;
    quoted = c == '"' && opens;
    const auto* delimiter = std::ranges::find(kDelimiters, c, &Delimiter::character);
    opens = delimiter != kDelimiters.end();
    if (opens) ++counts[static_cast<size_t>(delimiter - kDelimiters.begin())];
  }
  return all ? std::optional(counts) : std::nullopt;
}

// Of a first line as CSV.
bool HasKnownColumn(std::string_view text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  const char delimiter = *DelimiterOf(line, /*all=*/true, "");
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(delimiter, begin), line.size());
    std::string_view column = line.substr(begin, end - begin);
    if (column.size() >= 2 && column.front() == '"' && column.back() == '"') {
      column = column.substr(1, column.size() - 2);
    }
    if (IsKnown(column)) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

std::string_view FormatName(Format format) {
  switch (format) {
    case Format::kJsonl:
      return "jsonl";
    case Format::kCsv:
      return "csv";
    case Format::kParquet:
      return "parquet";
  }
  return "";
}

Result<std::optional<Format>> ParseFormat(std::string_view name) {
  if (name.empty()) return std::optional<Format>();
  for (Format format : {Format::kJsonl, Format::kCsv, Format::kParquet}) {
    if (name == FormatName(format)) return std::optional<Format>(format);
  }
  return InvalidArgument("format must be jsonl, csv or parquet, not '" + std::string(name) + "'");
}

std::string_view WithoutByteOrderMark(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  return head;
}

std::optional<Format> FormatOf(std::string_view head, bool all, std::string_view file) {
  if (head.starts_with(kParquetMagic) || head.starts_with(kEncryptedParquetMagic)) {
    return Format::kParquet;
  }
  all = all || head.size() >= kFormatHead;
  if (!all && head.size() < kParquetMagic.size()) return std::nullopt;
  const std::string_view text = WithoutByteOrderMark(head);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return all ? std::optional(Format::kJsonl) : std::nullopt;
  if (text[first] == '{' || text[first] == '[') return Format::kJsonl;
  const std::string ending = EndingOf(file);
  if (ending == ".csv" || ending == ".tsv") return Format::kCsv;
  if (!all && text.find('\n', first) == std::string_view::npos) return std::nullopt;
  return HasKnownColumn(text.substr(first)) ? Format::kCsv : Format::kJsonl;
}

std::string_view DelimiterName(char delimiter) {
  const auto* known = std::ranges::find(kDelimiters, delimiter, &Delimiter::character);
  return known == kDelimiters.end() ? "" : known->name;
}

Result<std::optional<char>> ParseDelimiter(std::string_view name) {
  if (name.empty()) return std::optional<char>();
  const auto* known = std::ranges::find(kDelimiters, name, &Delimiter::name);
  if (known != kDelimiters.end()) return std::optional<char>(known->character);
  return InvalidArgument("delimiter must be comma, tab, semicolon or pipe, not '" +
                         std::string(name) + "'");
}

std::optional<char> DelimiterOf(std::string_view head, bool all, std::string_view file) {
  const auto counts =
      CountInFirstRow(WithoutByteOrderMark(head), all || head.size() >= kFormatHead);
  if (!counts) return std::nullopt;
  const auto most = std::ranges::max_element(*counts);
  if (*most > 0 && std::ranges::count(*counts, *most) == 1) {
    return kDelimiters[static_cast<size_t>(most - counts->begin())].character;
  }
  return EndingOf(file) == ".tsv" ? '\t' : ',';
}

}  // namespace attune::datasets
