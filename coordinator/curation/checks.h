#pragma once

// Whether what an expression found is what it looks like. [begin, end) lies within text; a check
// may shorten it. Private to this folder.

#include <cstddef>
#include <string_view>

namespace attune::curation {

// A digit and a capital, or 24 and more small letters and digits of which some are digits: no words
// joined by '-', as names of CSS classes are.
bool LooksRandom(std::string_view text, size_t begin, size_t* end);

// No domain that is reserved for examples and tests (RFC 2606, RFC 6761), and no name of a picture
// ("icon@2x.png").
bool IsRealEmail(std::string_view text, size_t begin, size_t* end);

// Not within a longer dotted number, and in no block of the IANA registry of special-purpose
// addresses that has no owner on the Internet (private, loopback, documentation, multicast ...).
bool IsPublicIpv4(std::string_view text, size_t begin, size_t* end);
// In 2000::/3 but not 2001:db8::/32 (documentation). Cuts colons off that end a sentence.
bool IsPublicIpv6(std::string_view text, size_t begin, size_t* end);

// 8 to 15 digits (E.164), not behind a letter, digit or sign of a formula.
bool IsPhoneNumber(std::string_view text, size_t begin, size_t* end);

// The check digit of ISO/IEC 7812-1 (Luhn), the length and the first digits of a card scheme; not
// within a longer number.
bool IsCardNumber(std::string_view text, size_t begin, size_t* end);

// The length of its country in the SWIFT registry, to which it is cut, and ISO 7064's check digits
// (modulo 97).
bool IsIban(std::string_view text, size_t begin, size_t* end);

}  // namespace attune::curation
