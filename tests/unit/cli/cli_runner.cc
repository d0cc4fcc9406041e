#include "tests/unit/cli/cli_runner.h"

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

}  // namespace attune::cli
