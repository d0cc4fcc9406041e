#pragma once

#include <string>

namespace attune::cli {

// A completion script, made from the command table. shell: "bash", "zsh" or "fish". Names of jobs,
// data sets and models are asked of the coordinator when Tab is pressed, with a short timeout.
std::string CompletionScript(const std::string& shell);

}  // namespace attune::cli
