#pragma once

#include <chrono>
#include <string>

#include "tools/cli/io.h"

namespace attune::cli {

// Progress on standard error. On a terminal one line that is drawn over itself, with lasting lines
// above it; elsewhere plain lines, the changing one at most every ten seconds.
class LiveLine {
 public:
  LiveLine(Io* io, bool quiet) : io_(io), quiet_(quiet) {}
  ~LiveLine() { Clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  // What is going on now. plain is the same for a log: no bar, no escape codes.
  void Update(const std::string& drawn, const std::string& plain);
  // A line that stays.
  void Print(const std::string& line);
  void Clear();

 private:
  static constexpr std::chrono::seconds kPlainEvery{10};
  static constexpr std::chrono::milliseconds kDrawEvery{80};
  Io* const io_;
  const bool quiet_;
  bool drawn_ = false;
  std::string last_drawn_, last_plain_;
  std::chrono::steady_clock::time_point next_plain_{}, next_draw_{};
};

// "VERB [====    ] 1.2 GB of 5 GB  ETA 12 s"; without a total only how much.
void ShowBytes(LiveLine* live, const std::string& verb, double done, double total,
               std::chrono::duration<double> since_start);

}  // namespace attune::cli
