#include "coordinator/curation/checks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace attune::curation {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char Before(std::string_view text, size_t begin) {
  return begin == 0 ? ' ' : text[begin - 1];
}

char After(std::string_view text, size_t end, size_t distance = 0) {
  return end + distance < text.size() ? text[end + distance] : ' ';
}

std::string DigitsOf(std::string_view text) {
  std::string digits;
  std::ranges::copy_if(text, std::back_inserter(digits), IsDigit);
  return digits;
}

// Part of a decimal or of a dotted number: "1.4111...", "1.2.3.4.5".
bool IsWithinNumber(std::string_view text, size_t begin, size_t end) {
  const bool before = Before(text, begin) == '.' && begin >= 2 && IsDigit(text[begin - 2]);
  const bool after = After(text, end) == '.' && IsDigit(After(text, end, 1));
  return before || after || IsDigit(Before(text, begin)) || IsDigit(After(text, end));
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

bool IsDomainOrBelow(std::string_view domain, std::string_view parent) {
  return domain == parent || (domain.size() > parent.size() && domain.ends_with(parent) &&
                              domain[domain.size() - parent.size() - 1] == '.');
}

struct Block {
  uint32_t address;
  int bits;
};

// IANA IPv4 special-purpose address registry (RFC 6890 and its updates), and multicast and
// reserved (224.0.0.0/3).
constexpr Block kSpecial[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
    {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
    {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3}};

bool HasCardPrefix(const std::string& digits) {
  const auto first = [&](size_t count) { return std::stoi(digits.substr(0, count)); };
  const size_t length = digits.size();
  if (digits[0] == '4') return length == 13 || length == 16 || length == 19;  // Visa
  if (first(2) >= 51 && first(2) <= 55) return length == 16;                  // Mastercard
  if (first(4) >= 2221 && first(4) <= 2720) return length == 16;              // Mastercard
  if (first(2) == 34 || first(2) == 37) return length == 15;                  // Amex
  if (first(4) == 6011 || first(2) == 65) return length >= 16;                // Discover
  if (first(2) == 36 || first(2) == 38) return length == 14;                  // Diners
  if (first(4) >= 3528 && first(4) <= 3589) return length >= 16;              // JCB
  return first(2) == 62 && length >= 16;                                      // UnionPay
}

bool IsLuhn(const std::string& digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0;
}

struct Country {
  std::string_view code;
  size_t length;
};

constexpr Country kIbanLengths[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
    {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23},
    {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}};

int Modulo97(const std::string& characters) {
  int value = 0;
  for (size_t i = 0; i < characters.size(); ++i) {
    const char c = characters[(i + 4) % characters.size()];
    value = IsDigit(c) ? (value * 10 + (c - '0')) % 97 : (value * 100 + (c - 'A' + 10)) % 97;
  }
  return value;
}

}  // namespace

bool LooksRandom(std::string_view text, size_t begin, size_t* end) {
  const std::string_view found = text.substr(begin, *end - begin);
  const bool digit = std::ranges::any_of(found, IsDigit);
  const bool capital = std::ranges::any_of(found, [](char c) { return c >= 'A' && c <= 'Z'; });
  size_t run = 0, longest = 0;
  for (char c : found) {
    run = IsLetter(c) || IsDigit(c) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return digit && (capital || longest >= 24);
}

bool IsRealEmail(std::string_view text, size_t begin, size_t* end) {
  const std::string address = Lower(text.substr(begin, *end - begin));
  const std::string_view domain = std::string_view(address).substr(address.find('@') + 1);
  if (domain.find("..") != std::string_view::npos) return false;
  for (const char* reserved : {"example.com", "example.org", "example.net", "example", "test",
                               "invalid", "localhost", "local", "png", "jpg", "gif", "svg"}) {
    if (IsDomainOrBelow(domain, reserved)) return false;
  }
  return true;
}

bool IsPublicIpv4(std::string_view text, size_t begin, size_t* end) {
  if (IsWithinNumber(text, begin, *end)) return false;
  in_addr parsed;
  if (inet_pton(AF_INET, std::string(text.substr(begin, *end - begin)).c_str(), &parsed) != 1) {
    return false;
  }
  const uint32_t address = ntohl(parsed.s_addr);
  return std::ranges::none_of(kSpecial, [&](const Block& block) {
    return address >> (32 - block.bits) == block.address >> (32 - block.bits);
  });
}

bool IsPublicIpv6(std::string_view text, size_t begin, size_t* end) {
  const char before = Before(text, begin);
  if (before == ':' || before == '.') return false;
  std::string found(text.substr(begin, *end - begin));
  while (found.ends_with(':') && !found.ends_with("::")) found.pop_back();
  const char after = After(text, begin + found.size());
  if (IsLetter(after) || IsDigit(after) || after == '_') return false;
  in6_addr parsed;
  if (inet_pton(AF_INET6, found.c_str(), &parsed) != 1) return false;
  const auto* bytes = parsed.s6_addr;
  const bool documentation =
      bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8;
  *end = begin + found.size();
  return bytes[0] >> 5 == 1 && !documentation;
}

bool IsPhoneNumber(std::string_view text, size_t begin, size_t* end) {
  const char before = Before(text, begin);
  if (IsLetter(before) || IsDigit(before) || before == ')' || before == '+' || before == '_') {
    return false;
  }
  if (IsDigit(After(text, *end))) return false;
  if (After(text, *end) == '.' && IsDigit(After(text, *end, 1))) return false;
  const size_t digits = DigitsOf(text.substr(begin, *end - begin)).size();
  return digits >= 8 && digits <= 15;
}

bool IsCardNumber(std::string_view text, size_t begin, size_t* end) {
  if (IsWithinNumber(text, begin, *end)) return false;
  const std::string digits = DigitsOf(text.substr(begin, *end - begin));
  return HasCardPrefix(digits) && IsLuhn(digits);
}

bool IsIban(std::string_view text, size_t begin, size_t* end) {
  const auto country = std::ranges::find(kIbanLengths, text.substr(begin, 2), &Country::code);
  if (country == std::end(kIbanLengths)) return false;
  std::string characters;
  size_t at = begin;
  for (; at < *end && characters.size() < country->length; ++at) {
    if (text[at] != ' ') characters += text[at];
  }
  const char after = After(text, at);
  if (characters.size() != country->length || IsLetter(after) || IsDigit(after)) return false;
  *end = at;
  return Modulo97(characters) == 1;
}

}  // namespace attune::curation
