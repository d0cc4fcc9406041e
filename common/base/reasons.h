#pragma once

// Words in the reasons of jobs that other programs than the one that gave the reason act on.

#include <string_view>

namespace attune {

// In the reason of a paused job that needs nobody: who waits for it waits on.
inline constexpr std::string_view kGoesOnByItself = "goes on by itself";

// Begins the engine's refusal (kInvalidArgument) of a run that cannot fit into its ranks' memory:
// the trainer tells it from other input that is wrong, as it may fit elsewhere.
inline constexpr std::string_view kNeedsMemory = "the job needs ";

}  // namespace attune
