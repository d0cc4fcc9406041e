#include "tests/unit/cli/cli_runner.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace attune::cli {

Io CliRunner::MakeIo() {
  Io io;
  io.out = &out_;
  io.err = &err_;
  io.in = &in_;
  io.out_is_terminal = io.err_is_terminal = terminal_width_ > 0;
  io.width = [this] { return terminal_width_ > 0 ? terminal_width_ : 80; };
  io.getenv = [this](const char* name) {
    auto it = environment_.find(name);
    return it == environment_.end() ? std::string() : it->second;
  };
  io.interrupted = [this] { return interrupted_.load(); };
  return io;
}

int CliRunner::Run(const std::vector<std::string>& args, const std::string& input) {
  out_.str("");
  err_.str("");
  in_.clear();
  in_.str(input);
  Io io = MakeIo();
  return cli::Run(args, &io);
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "attune-cli-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}
std::string TemporaryFolder::Write(const std::string& name, const std::string& content) const {
  std::string path = path_ + "/" + name;
  std::ofstream(path) << content;
  return path;
}

}  // namespace attune::cli
