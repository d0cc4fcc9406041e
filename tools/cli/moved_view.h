#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace attune::cli {

// What a merge did to a model's outputs ("moved" of an export's report), in a line for a person.
std::string MovedLine(const nlohmann::ordered_json& moved);

}  // namespace attune::cli
