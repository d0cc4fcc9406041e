#pragma once

// Numbers in the sentences of a report.

#include <cstdint>
#include <string>

namespace attune::gates {

std::string ShortNumber(double value);  // at most 4 digits that count: "0.05", "1.923", "2.1e+09"
std::string Percent(double share);      // "95 %", "99.5 %"
std::string Counted(uint64_t count, const std::string& noun);  // "1 example", "1,200 examples"

}  // namespace attune::gates
