#include "coordinator/datasets/sources/json_text.h"

namespace attune::datasets {
namespace {

bool IsPlain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

void AppendEscaped(char c, std::string* out) {
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
  }
  constexpr char kDigits[] = "0123456789abcdef";
  out->append("\\u00");
  out->push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
  out->push_back(kDigits[static_cast<unsigned char>(c) & 15]);
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  for (size_t done = 0; done < text.size();) {
    size_t end = done;
    while (end < text.size() && IsPlain(text[end])) ++end;
    out->append(text, done, end - done);
    if (end == text.size()) break;
    AppendEscaped(text[end], out);
    done = end + 1;
  }
  out->push_back('"');
}

}  // namespace attune::datasets
