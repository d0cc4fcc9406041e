#include "common/spec/key_table.h"

namespace attune::spec {
namespace {

std::string_view Section(std::string_view path) {
  size_t dot = path.find('.');
  return dot == path.npos ? "" : path.substr(0, dot);
}

}  // namespace

std::string KeyTables(std::span<const SpecKey> keys) {
  std::string out, section = "-";
  for (const SpecKey& key : keys) {
    if (Section(key.path) != section) {
      section = Section(key.path);
      if (!section.empty()) out += "\n## " + section + "\n";
      out += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
    }
    out += "| `" + std::string(key.path) + "` | " + std::string(key.type) + " | " +
           (key.fallback.empty() ? "required" : std::string(key.fallback)) + " | " +
           std::string(key.doc) + " |\n";
  }
  return out;
}

}  // namespace attune::spec
