#pragma once

#include <string>
#include <string_view>

namespace attune::datasets {

// Appends text as a JSON string with its quotes. Bytes that are no UTF-8 stay as they are: who
// parses the row says where they stand.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace attune::datasets
