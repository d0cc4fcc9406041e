#include "coordinator/curation/words.h"

#include <array>

namespace attune::curation {
namespace {

enum class Kind : uint8_t { kSeparator, kLetter, kSymbol, kBeyondAscii };

// What a byte below 0x80 is, and the letter that it counts as.
struct AsciiTable {
  std::array<Kind, 256> kinds{};
  std::array<uint8_t, 256> folded{};
};

constexpr AsciiTable MakeTable() {
  AsciiTable table;
  for (int c = 0; c < 256; ++c) {
    table.folded[c] = static_cast<uint8_t>(c);
    if (c >= 0x80) table.kinds[c] = Kind::kBeyondAscii;
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_')
      table.kinds[c] = Kind::kLetter;
    if (c >= 'A' && c <= 'Z') {
      table.kinds[c] = Kind::kLetter;
      table.folded[c] = static_cast<uint8_t>(c - 'A' + 'a');
    }
  }
  for (char c : std::string_view("+-*/%=<>&|^~#$@")) {
    table.kinds[static_cast<uint8_t>(c)] = Kind::kSymbol;
  }
  return table;
}

constexpr AsciiTable kTable = MakeTable();

struct Range {
  uint32_t first, last;
};

constexpr Range kSeparators[] = {
    {0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},     {0xbb, 0xbf},     {0xd7, 0xd7},
    {0xf7, 0xf7},     {0x2000, 0x206f}, {0x2e00, 0x2e7f}, {0x3000, 0x303f}, {0xfe10, 0xfe1f},
    {0xfe30, 0xfe6f}, {0xff00, 0xff0f}, {0xff1a, 0xff20}, {0xff3b, 0xff40}, {0xff5b, 0xff65}};

// Scripts without spaces, symbols, pictographs.
constexpr Range kSingles[] = {
    {0x0e00, 0x0fff}, {0x1000, 0x109f},   {0x1780, 0x17ff},  {0x2070, 0x2bff}, {0x2e80, 0x2fdf},
    {0x3040, 0x312f}, {0x31a0, 0x31ff},   {0x3400, 0x4dbf},  {0x4e00, 0x9fff}, {0xf900, 0xfaff},
    {0xff66, 0xff9f}, {0x1f000, 0x1faff}, {0x20000, 0x3ffff}};

template <size_t N>
bool IsIn(const Range (&ranges)[N], uint32_t point) {
  for (const Range& range : ranges) {
    if (point < range.first) return false;
    if (point <= range.last) return true;
  }
  return false;
}

Kind KindOf(uint32_t point) {
  if (IsIn(kSingles, point)) return Kind::kSymbol;
  return IsIn(kSeparators, point) ? Kind::kSeparator : Kind::kLetter;
}

uint32_t Fold(uint32_t point) {
  if (point >= 0xc0 && point <= 0xde && point != 0xd7) return point + 32;  // Latin-1
  if (point >= 0x391 && point <= 0x3a9) return point + 32;                 // Greek
  if (point >= 0x410 && point <= 0x42f) return point + 32;                 // Cyrillic
  if (point >= 0x400 && point <= 0x40f) return point + 80;
  return point;
}

// The code point at the front of s, which starts with a byte above 0x7f, and its bytes. A byte that
// begins none is a point of its own: a separator.
uint32_t Decode(std::string_view s, size_t* bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = at(0);
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
  *bytes = 1;
  if (length == 1 || lead > 0xf4 || s.size() < length) return 0x80;
  uint32_t point = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0x80;
    point = point << 6 | (at(i) & 0x3f);
  }
  *bytes = length;
  return point;
}

// FNV-1a (Fowler, Noll, Vo), mixed at its end as its low bits alone are weak.
class WordHash {
 public:
  explicit WordHash(std::vector<uint64_t>* hashes) : hashes_(hashes) {}

  void Add(uint32_t value) {
    state_ = (state_ ^ value) * 0x100000001b3ULL;
    empty_ = false;
  }
  void End() {
    if (empty_) return;
    hashes_->push_back(Mix64(state_));
    state_ = kStart;
    empty_ = true;
  }

 private:
  static constexpr uint64_t kStart = 0xcbf29ce484222325ULL;
  std::vector<uint64_t>* const hashes_;
  uint64_t state_ = kStart;
  bool empty_ = true;
};

// Returns the bytes read.
size_t AddBeyondAscii(std::string_view rest, WordHash* word) {
  size_t bytes = 1;
  const uint32_t point = Decode(rest, &bytes);
  const Kind kind = KindOf(point);
  if (kind != Kind::kLetter) word->End();
  if (kind != Kind::kSeparator) word->Add(Fold(point));
  if (kind == Kind::kSymbol) word->End();
  return bytes;
}

}  // namespace

void AppendWordHashes(std::string_view text, std::vector<uint64_t>* hashes) {
  WordHash word(hashes);
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    switch (kTable.kinds[c]) {
      case Kind::kLetter:
        word.Add(kTable.folded[c]);
        ++i;
        break;
      case Kind::kSeparator:
        word.End();
        ++i;
        break;
      case Kind::kSymbol:
        word.End();
        word.Add(c);
        word.End();
        ++i;
        break;
      case Kind::kBeyondAscii:
        i += AddBeyondAscii(text.substr(i), &word);
        break;
    }
  }
  word.End();
}

RollingHash::RollingHash(size_t size) {
  for (size_t i = 0; i < size; ++i) highest_ *= kBase;
}

}  // namespace attune::curation
