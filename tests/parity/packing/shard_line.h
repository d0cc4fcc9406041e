#pragma once

#include <string>

namespace attune::parity {

// The line of a shard that an imported row becomes; what is wrong with the row fails the test.
// Apart from the test, since torch's headers and those of a data set's record do not go together.
std::string ShardLineOf(const std::string& row);

}  // namespace attune::parity
