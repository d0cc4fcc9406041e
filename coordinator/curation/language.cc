#include "coordinator/curation/language.h"

#include <algorithm>
#include <array>

#include "coordinator/curation/rust/attune_language.h"

namespace attune::curation {
namespace {

struct Codes {
  std::string_view three, two;
};

// ISO 639-3 and 639-1 (Library of Congress) of the crate's languages. Mandarin is "zh" as in most
// data sets' names, not "cmn"; Persian is "pes" to the crate, "fa" to everyone.
constexpr Codes kCodes[] = {
    {"afr", "af"}, {"aka", "ak"}, {"amh", "am"}, {"ara", "ar"}, {"aze", "az"}, {"bel", "be"},
    {"ben", "bn"}, {"bul", "bg"}, {"cat", "ca"}, {"ces", "cs"}, {"cmn", "zh"}, {"cym", "cy"},
    {"dan", "da"}, {"deu", "de"}, {"ell", "el"}, {"eng", "en"}, {"epo", "eo"}, {"est", "et"},
    {"fin", "fi"}, {"fra", "fr"}, {"guj", "gu"}, {"heb", "he"}, {"hin", "hi"}, {"hrv", "hr"},
    {"hun", "hu"}, {"hye", "hy"}, {"ind", "id"}, {"ita", "it"}, {"jav", "jv"}, {"jpn", "ja"},
    {"kan", "kn"}, {"kat", "ka"}, {"khm", "km"}, {"kor", "ko"}, {"lat", "la"}, {"lav", "lv"},
    {"lit", "lt"}, {"mal", "ml"}, {"mar", "mr"}, {"mkd", "mk"}, {"mya", "my"}, {"nep", "ne"},
    {"nld", "nl"}, {"nob", "nb"}, {"ori", "or"}, {"pan", "pa"}, {"pes", "fa"}, {"pol", "pl"},
    {"por", "pt"}, {"ron", "ro"}, {"rus", "ru"}, {"sin", "si"}, {"slk", "sk"}, {"slv", "sl"},
    {"sna", "sn"}, {"spa", "es"}, {"srp", "sr"}, {"swe", "sv"}, {"tam", "ta"}, {"tel", "te"},
    {"tgl", "tl"}, {"tha", "th"}, {"tuk", "tk"}, {"tur", "tr"}, {"ukr", "uk"}, {"urd", "ur"},
    {"uzb", "uz"}, {"vie", "vi"}, {"yid", "yi"}, {"zul", "zu"}};

std::string ShortCode(std::string_view three) {
  const auto codes = std::ranges::find(kCodes, three, &Codes::three);
  return std::string(codes == std::end(kCodes) ? three : codes->two);
}

// Cut between code points.
std::string_view Start(std::string_view text) {
  if (text.size() <= kLanguageBytesMax) return text;
  size_t end = kLanguageBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

// ASCII letters and code points beyond ASCII, few of which are no letters; of those from U+3000 on
// each counts three times, as a Han character says as much as several letters.
size_t Letters(std::string_view text) {
  size_t letters = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    letters += (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0xc0 ? 1 : 0;
    letters += byte >= 0xe3 ? 2 : 0;
  }
  return letters;
}

}  // namespace

std::string LanguageOf(std::string_view text) {
  const std::string_view start = Start(text);
  if (Letters(start) < kLanguageLettersMin) return "";
  std::array<char, 4> code{};
  double confidence = 0;
  int32_t reliable = 0;
  if (attune_language_detect(reinterpret_cast<const uint8_t*>(start.data()), start.size(),
                             code.data(), &confidence, &reliable) != ATTUNE_LANGUAGE_OK) {
    return "";
  }
  return reliable != 0 ? ShortCode(code.data()) : "";
}

const std::vector<std::string>& KnownLanguages() {
  static const auto* languages = [] {
    auto* all = new std::vector<std::string>();
    std::array<char, 4> code{};
    for (size_t i = 0; attune_language_at(i, code.data()) == ATTUNE_LANGUAGE_OK; ++i) {
      all->push_back(ShortCode(code.data()));
    }
    std::ranges::sort(*all);
    return all;
  }();
  return *languages;
}

}  // namespace attune::curation
