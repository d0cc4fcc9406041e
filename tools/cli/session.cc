#include "tools/cli/session.h"

#include "tools/cli/help.h"
#include "tools/cli/parse.h"

namespace attune::cli {
namespace {

bool UsesColor(const Io& io, const Arguments& globals, bool terminal) {
  return terminal && !globals.Has("--no-color") && io.getenv("NO_COLOR").empty() &&
         io.getenv("TERM") != "dumb";
}

void PrintError(const Status& status, bool color, Io* io) {
  *io->err << Paint("error:", Style::kRed, color) << " " << status.message() << "\n";
}

}  // namespace

Session::Session(Io* io, const Arguments& globals)
    : io_(io),
      globals_(globals),
      out_color_(UsesColor(*io, globals, io->out_is_terminal)),
      err_color_(UsesColor(*io, globals, io->err_is_terminal)),
      quiet_(globals.Has("--quiet")),
      printer_(io, ParseFormat(globals.Get("--output")), out_color_) {}

Result<Client*> Session::client() {
  if (client_ == nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(Settings found, settings());
    std::chrono::milliseconds timeout(static_cast<int64_t>(globals_.Number("--timeout") * 1000));
    ATTUNE_ASSIGN_OR_RETURN(client_, Client::Connect(found.endpoint, timeout, [this] {
                              Say("coordinator away, retrying");
                            }));
  }
  return client_.get();
}

void Session::Say(const std::string& line) {
  if (!quiet_) *io_->err << line << std::endl;
}

int Run(const std::vector<std::string>& args, Io* io) {
  auto parsed = ParseCommandLine(args);
  bool color = UsesColor(*io, Arguments(), io->err_is_terminal);
  if (!parsed.ok()) {
    PrintError(parsed.status(), color, io);
    return kExitUsage;
  }
  if (parsed->help || parsed->command == nullptr) {
    // Asked for, it is data; otherwise the command line was not complete.
    std::string text = HelpText(parsed->command, parsed->noun, static_cast<size_t>(io->width()));
    *(parsed->help ? io->out : io->err) << text;
    return parsed->help ? kExitOk : kExitUsage;
  }
  Session session(io, parsed->arguments);
  Result<int> code = parsed->command->run(session, parsed->arguments);
  io->out->flush();
  if (code.ok()) return *code;
  PrintError(code.status(), session.err_color(), io);
  return ExitCode(code.status());
}

}  // namespace attune::cli
