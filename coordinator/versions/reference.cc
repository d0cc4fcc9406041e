#include "coordinator/versions/reference.h"

#include <charconv>

#include "common/base/files.h"

namespace attune::versions {

Result<Reference> ParseReference(std::string_view kind, std::string_view text) {
  size_t at = text.find('@');
  Reference reference;
  reference.name = std::string(text.substr(0, at));
  if (!IsValidName(reference.name)) {
    return InvalidArgument(
        "\"" + reference.name + "\" is not a " + std::string(kind) +
        " name: use 1 to 63 of a-z, 0-9, '.', '_', '-', starting with a letter or digit");
  }
  if (at == std::string_view::npos) return reference;
  std::string_view digits = text.substr(at + 1);
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), reference.version);
  if (error != std::errc() || end != digits.data() + digits.size() || reference.version == 0) {
    return InvalidArgument(
        "\"" + std::string(text) + "\": after @ comes a version number, as in " + reference.name +
        "@1" +
        (kind == "model" ? ", or an alias, as in " + reference.name + "@champion" : std::string()));
  }
  return reference;
}

std::string FormatReference(const std::string& name, uint32_t version) {
  return name + "@" + std::to_string(version);
}

}  // namespace attune::versions
