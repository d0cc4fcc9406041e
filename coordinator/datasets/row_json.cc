#include "coordinator/datasets/row_json.h"

#include <algorithm>
#include <array>
#include <vector>

#include "common/base/utf8.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kReasonBytesMax = 300;
// Finding a key of an object that keeps its order takes as many comparisons as it has keys; so many
// take about a second, and one object of 10,000 keys takes that many.
constexpr uint64_t kKeyComparisonsMax = 50'000'000;

// Checked before the parser runs: its tree is walked recursively, and it looks up each key.
Status CheckSize(std::string_view text, size_t depth) {
  std::array<uint64_t, kNestingMax + 1> keys{};
  uint64_t comparisons = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (depth == kNestingMax) {
        return InvalidArgument("nested deeper than " + std::to_string(kNestingMax) + " levels");
      }
      keys[++depth] = 0;
    } else if (c == '}' || c == ']') {
      depth = depth > 0 ? depth - 1 : 0;
    } else if (c == ':') {
      comparisons += keys[depth]++;
      if (comparisons > kKeyComparisonsMax) return InvalidArgument("an object has too many keys");
    }
  }
  return Status();
}

// The parser's own words without its class names: "at column 12: syntax error ...". It quotes what
// it read so far, which may end inside a character.
std::string ParserReason(std::string what) {
  for (size_t bad; (bad = FindInvalidUtf8(what)) != std::string::npos;) what[bad] = '?';
  size_t column = what.find("column ");
  return "not valid JSON at " +
         Shorten(column == std::string::npos ? what : what.substr(column), kReasonBytesMax);
}

// What JSON must escape, as nlohmann::json does it.
void WriteString(const std::string& text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  static constexpr std::string_view kShort = "btn?fr";  // of 8 to 13
  *out += '"';
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text, begin, i - begin);
    begin = i + 1;
    *out += '\\';
    if (c >= 0x20) {
      *out += text[i];
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
      *out += kShort[c - size_t{'\b'}];
    } else {
      out->append("u00").append(1, kHex[c >> 4]).append(1, kHex[c & 15]);
    }
  }
  out->append(text, begin).append(1, '"');
}

void Write(const RowJson& json, bool sorted, std::string* out);

void WriteObject(const RowJson& json, bool sorted, std::string* out) {
  std::vector<RowJson::const_iterator> members;
  for (auto it = json.begin(); it != json.end(); ++it) members.push_back(it);
  if (sorted) {
    std::ranges::sort(members, {}, [](const auto& it) -> const std::string& { return it.key(); });
  }
  *out += '{';
  for (const auto& it : members) {
    if (&it != &members.front()) *out += ',';
    WriteString(it.key(), out);
    *out += ':';
    Write(*it, sorted, out);
  }
  *out += '}';
}

void Write(const RowJson& json, bool sorted, std::string* out) {
  if (const auto* text = json.get_ptr<const std::string*>()) return WriteString(*text, out);
  if (json.is_object()) return WriteObject(json, sorted, out);
  if (!json.is_array()) {
    *out += json.dump();
    return;
  }
  *out += '[';
  for (size_t i = 0; i < json.size(); ++i) {
    if (i > 0) *out += ',';
    Write(json[i], sorted, out);
  }
  *out += ']';
}

}  // namespace

std::string DumpRowJson(const RowJson& json) {
  std::string text;
  Write(json, /*sorted=*/false, &text);
  return text;
}

std::string DumpSortedRowJson(const RowJson& json) {
  std::string text;
  Write(json, /*sorted=*/true, &text);
  return text;
}

Result<RowJson> ParseRowJson(std::string_view text, size_t depth) {
  if (size_t bad = FindInvalidUtf8(text); bad != std::string_view::npos) {
    return InvalidArgument("not valid UTF-8 at byte " + std::to_string(bad + 1));
  }
  ATTUNE_RETURN_IF_ERROR(CheckSize(text, depth));
  try {
    return RowJson::parse(text);
  } catch (const RowJson::exception& e) {
    return InvalidArgument(ParserReason(e.what()));
  }
}

const std::string* StringAt(const RowJson& object, const char* key) {
  auto it = object.find(key);
  return it == object.end() ? nullptr : it->get_ptr<const std::string*>();
}

}  // namespace attune::datasets
