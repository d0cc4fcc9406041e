#pragma once

// One run of one command: where it prints, whom it asks.

#include <memory>
#include <string>

#include "tools/cli/client.h"
#include "tools/cli/command.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/io.h"
#include "tools/cli/output.h"
#include "tools/cli/settings.h"

namespace attune::cli {

class Session {
 public:
  Session(Io* io, const Arguments& globals);

  Io& io() { return *io_; }
  Printer& printer() { return printer_; }
  bool err_color() const { return err_color_; }
  // Connects on first use.
  Result<Client*> client();
  Result<Settings> settings() const { return ResolveSettings(globals_, *io_); }

  // A line for the person, on standard error; nothing with --quiet.
  void Say(const std::string& line);
  bool quiet() const { return quiet_; }

 private:
  Io* const io_;
  const Arguments globals_;
  const bool out_color_, err_color_, quiet_;
  Printer printer_;
  std::unique_ptr<Client> client_;
};

// The whole program: parse, run, print the error, map it to an exit code. args without the
// program's name.
int Run(const std::vector<std::string>& args, Io* io);

}  // namespace attune::cli
