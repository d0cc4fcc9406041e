#pragma once

// A spec's keys for people, and the tables of a page that lists them.

#include <span>
#include <string>
#include <string_view>

namespace attune::spec {

struct SpecKey {
  std::string_view path;  // "trigger.cron"; "[]" stands for an item of a list or an entry of a map
  std::string_view type;
  std::string_view fallback;  // the default; empty: required
  std::string_view doc;
};

// A table for each section, in the keys' order.
std::string KeyTables(std::span<const SpecKey> keys);

}  // namespace attune::spec
