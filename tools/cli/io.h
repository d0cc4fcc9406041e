#pragma once

// What a command sees of the world it runs in. main.cc makes the real one, tests their own.

#include <functional>
#include <ostream>
#include <string>

#include "common/base/clock.h"

namespace attune::cli {

struct Io {
  std::ostream* out = nullptr;  // data
  std::ostream* err = nullptr;  // messages and progress
  std::istream* in = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::function<int()> width = [] { return 80; };  // columns of the terminal now
  std::function<std::string(const char*)> getenv = [](const char*) { return std::string(); };
  Clock* clock = SystemClock();
  // True after Ctrl-C while a command that handles it runs.
  std::function<bool()> interrupted = [] { return false; };
};

// The process's own streams, terminal and environment.
Io RealIo();
// While it lives, SIGINT and SIGTERM set io.interrupted of RealIo in place of ending the process; a
// second SIGINT ends it.
class CatchInterrupt {
 public:
  CatchInterrupt();
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;
};

}  // namespace attune::cli
