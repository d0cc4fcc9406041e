#pragma once

// Bytes of unknown origin (a trainer's output, an exception's text) as text that a protobuf string,
// JSON and a terminal accept.

#include <cstddef>
#include <string>
#include <string_view>

namespace attune {

// The same text with each byte that is not part of well-formed UTF-8 (RFC 3629: no overlong form,
// no surrogate, at most U+10FFFF) replaced by U+FFFD, and NUL too.
std::string ToValidUtf8(std::string_view bytes);

// The start of well-formed UTF-8, at most limit bytes and cut between code points, with "..." when
// something was cut. A message whose string is cut anywhere else cannot be read again.
std::string Shorten(std::string_view text, size_t limit);

}  // namespace attune
