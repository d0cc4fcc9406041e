#include "coordinator/datasets/sources/format.h"

#include <algorithm>

namespace attune::datasets {
namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr std::string_view kEncryptedParquetMagic = "PARE";
constexpr std::string_view kColumns[] = {"messages",    "conversations", "prompt", "completion",
                                         "instruction", "output",        "text"};

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

// Of a first line as CSV.
bool HasKnownColumn(std::string_view text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
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
  if (EndingOf(file) == ".csv") return Format::kCsv;
  if (!all && text.find('\n', first) == std::string_view::npos) return std::nullopt;
  return HasKnownColumn(text.substr(first)) ? Format::kCsv : Format::kJsonl;
}

}  // namespace attune::datasets
