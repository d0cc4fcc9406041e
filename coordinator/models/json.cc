#include "coordinator/models/json.h"

#include <set>
#include <string>
#include <vector>

#include "common/base/files.h"

namespace attune::models {
namespace {

constexpr int kDepthMax = 64;

struct Refused {
  std::string reason;
};

}  // namespace

Result<nlohmann::json> ReadJsonObject(const std::filesystem::path& path) {
  using Json = nlohmann::json;
  Result<std::string> text = ReadFile(path, kJsonBytesMax);
  if (!text.ok()) return text.status();
  std::vector<std::set<std::string>> keys;
  auto check = [&keys](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kDepthMax)
      throw Refused{"nested deeper than " + std::to_string(kDepthMax) + " levels"};
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Refused{"a key appears twice in an object"};
    }
    return true;
  };
  try {
    Json json = Json::parse(*text, check);
    if (!json.is_object()) return InvalidArgument(path.string() + ": not a JSON object");
    return json;
  } catch (const Refused& refused) {
    return InvalidArgument(path.string() + ": " + refused.reason);
  } catch (const Json::parse_error& error) {
    return InvalidArgument(path.string() + ": not valid JSON at byte " +
                           std::to_string(error.byte));
  } catch (const Json::exception&) {
    return InvalidArgument(path.string() + ": not valid JSON");
  }
}

}  // namespace attune::models
