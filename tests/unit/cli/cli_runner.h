#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "tools/cli/session.h"

namespace attune::cli {

// Runs the CLI in process, as a user would, and keeps what it printed.
class CliRunner {
 public:
  explicit CliRunner(std::string address = "") {
    environment_["HOME"] = "/nonexistent";
    if (!address.empty()) environment_["ATTUNE_ADDRESS"] = std::move(address);
  }

  int Run(const std::vector<std::string>& args, const std::string& input = "");

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  int out_lines() const {
    std::string text = out();
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  void SetEnv(const std::string& key, const std::string& value) { environment_[key] = value; }
  void SetTerminal(int width) { terminal_width_ = width; }
  std::atomic<bool>& interrupted() { return interrupted_; }
  Io MakeIo();

 private:
  std::map<std::string, std::string> environment_;
  std::ostringstream out_, err_;
  std::istringstream in_;
  int terminal_width_ = 0;  // 0: no terminal
  std::atomic<bool> interrupted_{false};
};

}  // namespace attune::cli
