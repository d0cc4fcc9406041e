#pragma once

#include <string>
#include <vector>

#include "tools/cli/command.h"

namespace attune::cli {

struct Parsed {
  const Command* command = nullptr;  // null: print help
  Arguments arguments;               // of the command and the global options
  bool help = false;                 // --help: of the command, the noun, or everything
  std::string noun;                  // for the help of a noun
};

// args without the program's name. kInvalidArgument with what to do instead.
Result<Parsed> ParseCommandLine(const std::vector<std::string>& args);

}  // namespace attune::cli
