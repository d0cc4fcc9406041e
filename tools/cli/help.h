#pragma once

#include <string>

#include "tools/cli/command.h"

namespace attune::cli {

// The help of a command; of a noun when command is null; of everything when both are empty.
std::string HelpText(const Command* command, const std::string& noun, size_t width);
// docs/cli.md.
std::string HelpMarkdown();

}  // namespace attune::cli
