// attune: the command line. Everything is in the library, so that tests can run it in process.

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "tools/cli/session.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);        // `attune job list | head` ends quietly
  setenv("GRPC_VERBOSITY", "NONE", 0);  // errors are told once, in our words
  attune::cli::Io io = attune::cli::RealIo();
  return attune::cli::Run(std::vector<std::string>(argv + 1, argv + argc), &io);
}
