// attune: the command line. Everything is in the library, so that tests can run it in process.

#include <csignal>
#include <string>
#include <vector>

#include "tools/cli/session.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `attune job list | head` ends quietly
  attune::cli::Io io = attune::cli::RealIo();
  return attune::cli::Run(std::vector<std::string>(argv + 1, argv + argc), &io);
}
