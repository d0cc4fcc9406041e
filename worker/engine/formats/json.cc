#include "worker/engine/formats/json.h"

#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/safetensors/header.h"

namespace attune::engine {

Result<nlohmann::json> ParseJson(std::string_view text) {
  using Json = nlohmann::json;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kJsonDepthMax) {
      throw std::runtime_error("nested deeper than " + std::to_string(kJsonDepthMax));
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        throw std::runtime_error("key " + QuotedName(key) + " is there twice");
      }
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const std::exception& error) {
    return InvalidArgument(std::string("not valid JSON: ") + error.what());
  }
}

}  // namespace attune::engine
