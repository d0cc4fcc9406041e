#pragma once

// In which format a file's rows stand, and what separates the values of CSV, told by what it begins
// with and, if that leaves a doubt, by how its name ends.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

enum class Format { kJsonl, kCsv, kParquet };

// "jsonl", "csv" or "parquet".
std::string_view FormatName(Format format);

// A format's name; nothing for "", by which each file's own is recognised. kInvalidArgument for
// another.
Result<std::optional<Format>> ParseFormat(std::string_view name);

// So many bytes decide; fewer may.
inline constexpr size_t kFormatHead = 64 << 10;

// By the unpacked content's first bytes; all: it has no others. Nothing when more are needed.
// Parquet has its magic bytes, JSONL begins with '{' (or '[', a mistake that is told row by row).
// What begins otherwise is CSV when its name ends in .csv or .tsv (also before .gz or .zst), or
// when its first line names a column that rows are made of; else JSONL.
std::optional<Format> FormatOf(std::string_view head, bool all, std::string_view file);

// "comma", "tab", "semicolon" or "pipe".
std::string_view DelimiterName(char delimiter);

// The delimiter of that name; nothing for "", by which each file's own is told. kInvalidArgument
// for another.
Result<std::optional<char>> ParseDelimiter(std::string_view name);

// Of a CSV file, as FormatOf: the delimiter that splits its header row into the most columns,
// quoted ones counted as one. Where none does, or several do alike, a comma; in a file named .tsv a
// tab.
std::optional<char> DelimiterOf(std::string_view head, bool all, std::string_view file);

// Without the UTF-8 byte order mark in front, if there is one.
std::string_view WithoutByteOrderMark(std::string_view head);

}  // namespace attune::datasets
