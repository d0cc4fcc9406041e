#include "worker/engine/data/example_list.h"

#include <algorithm>

namespace attune::engine {

ExampleList::ExampleList(std::vector<TokenizedExample> examples) : examples_(std::move(examples)) {
  for (const TokenizedExample& example : examples_) {
    lengths_.push_back(static_cast<uint32_t>(example.tokens.size()));
    target_counts_.push_back(
        static_cast<uint32_t>(std::ranges::count_if(example.targets, IsTarget)));
  }
}

}  // namespace attune::engine
