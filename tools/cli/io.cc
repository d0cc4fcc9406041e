#include "tools/cli/io.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

namespace attune::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
int g_catchers = 0;  // in scope, on the one thread that has them

void OnSignal(int) {
  g_interrupted = 1;
}

int TerminalWidth() {
  constexpr int kDefault = 80, kLeast = 40;
  winsize size{};
  for (int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
      return std::max<int>(size.ws_col, kLeast);
  }
  const char* columns = std::getenv("COLUMNS");
  int width = columns == nullptr ? 0 : std::atoi(columns);
  return width >= kLeast ? width : kDefault;
}

}  // namespace

Io RealIo() {
  Io io;
  io.out = &std::cout;
  io.err = &std::cerr;
  io.in = &std::cin;
  io.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  io.err_is_terminal = isatty(STDERR_FILENO) == 1;
  io.width = TerminalWidth;
  io.getenv = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  io.interrupted = [] { return g_interrupted != 0; };
  return io;
}

CatchInterrupt::CatchInterrupt() {
  if (g_catchers++ > 0) return;
  g_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends the program
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

CatchInterrupt::~CatchInterrupt() {
  if (--g_catchers > 0) return;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace attune::cli
