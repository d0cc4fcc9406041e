#include "coordinator/drift/words.h"

#include <cstddef>
#include <cstdint>

#include "coordinator/drift/detect.h"

namespace attune::drift {
namespace {

constexpr size_t kTextBytesMost = 64 << 10;
constexpr size_t kWordBytesMost = 32;
constexpr uint32_t kFirstWithoutSpaces = 0x2E80;

bool Continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// Length of the code point that begins here, and its value; what is no UTF-8 counts by the byte.
size_t Decode(std::string_view text, uint32_t* code) {
  const auto byte = static_cast<unsigned char>(text[0]);
  const size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
  *code = byte;
  if (length == 1 || byte < 0xc2 || text.size() < length) return 1;
  uint32_t value = byte & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if (!Continues(text[i])) return 1;
    value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  *code = value;
  return length;
}

bool IsAsciiWord(uint32_t code) {
  return (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') ||
         (code >= 'A' && code <= 'Z');
}

// Latin-1's signs, the general punctuation and that of full width are no letters.
bool IsWordCode(uint32_t code, size_t length) {
  if (length == 1) return IsAsciiWord(code);
  return code >= 0xc0 && !(code >= 0x2000 && code < 0x2c00) && !(code >= 0x3000 && code < 0x3005) &&
         !(code >= 0x3008 && code < 0x3020) && !(code >= 0xff00 && code < 0xff10);
}

}  // namespace

std::set<std::string> DistinctWords(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.insert(word);
    word.clear();
  };
  text = text.substr(0, kTextBytesMost);
  while (!text.empty()) {
    uint32_t code = 0;
    const size_t length = Decode(text, &code);
    const std::string_view bytes = text.substr(0, length);
    text.remove_prefix(length);
    if (!IsWordCode(code, length)) {
      end_word();
    } else if (code >= kFirstWithoutSpaces) {
      end_word();
      words.emplace(bytes);
    } else if (word.size() + length <= kWordBytesMost) {
      if (code >= 'A' && code <= 'Z') {
        word += static_cast<char>(code + ('a' - 'A'));
      } else {
        word += bytes;
      }
    }
  }
  end_word();
  return words;
}

void AddText(std::string_view text, Sample* sample) {
  for (const std::string& word : DistinctWords(text)) ++sample->words[word];
}

}  // namespace attune::drift
