// attune doctor --parity: attune-trainer proves it, and this shows it.

#include "tools/cli/doctor_parity.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/files.h"
#include "tools/cli/format.h"
#include "tools/cli/live.h"
#include "tools/cli/process.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

// A row takes a fraction of a second; of a model of one's own, on few cores, minutes.
constexpr std::chrono::minutes kRowDeadline{10};
constexpr milliseconds kPoll{50}, kGrace{5000};

// A folder of this run, gone with the object.
class Workplace {
 public:
  // In memory where that can be: every update writes, and syncs, what a job writes at its end.
  static Result<Workplace> Make() {
    std::error_code error;
    for (const fs::path& folder : {fs::path("/dev/shm"), fs::temp_directory_path(error)}) {
      std::string pattern = folder / "attune-parity-XXXXXX";
      if (mkdtemp(pattern.data()) != nullptr) return Workplace(pattern);
    }
    return ErrnoStatus(errno, "cannot make a temporary folder (TMPDIR says where)");
  }
  ~Workplace() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Workplace(Workplace&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Workplace& operator=(Workplace&&) = delete;

  fs::path proof() const { return path_ / "proof"; }
  fs::path log() const { return path_ / "log"; }

 private:
  explicit Workplace(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// What the trainer has printed: rows, and between them what libraries and errors say.
struct Printed {
  std::vector<Json> rows;
  size_t rows_in_all = 0;
  std::string last_words;

  bool whole() const { return !rows.empty() && rows.size() == rows_in_all; }
};

// Of whole lines.
Printed Parse(std::string_view text) {
  Printed printed;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object() && row.contains("rows")) {
      printed.rows_in_all = row.value("rows", size_t{0});
      printed.rows.push_back(std::move(row));
    } else if (!line.empty()) {
      printed.last_words = line;
    }
  }
  return printed;
}

Launch LaunchOf(const fs::path& trainer, const Workplace& place, const Arguments& arguments) {
  Launch launch{
      .program = trainer,
      .arguments = {"--parity", place.proof(), "--device", arguments.Get("--device")},
      .environment = {{"ATTUNE_EXIT_WITH", std::to_string(getpid())}, {"GOMP_SPINCOUNT", "1000"}},
      .log = place.log()};
  if (const std::string model = arguments.Get("--model"); !model.empty()) {
    launch.arguments.insert(launch.arguments.end(), {"--model", fs::absolute(model)});
  }
  return launch;
}

void ShowProgress(LiveLine* live, const Printed& printed) {
  if (printed.rows_in_all == 0) return live->Update("preparing", "preparing");
  const double done = static_cast<double>(printed.rows.size());
  const double all = static_cast<double>(printed.rows_in_all);
  const std::string count = FormatCount(done) + " of " + FormatCount(all) + " updates compared";
  live->Update(Bar(done / all, 24, true) + " " + count, count);
}

// Follows the process to its end, or ends it.
Result<Printed> Follow(Session& session, const ProcessId& process, const fs::path& log) {
  LiveLine live(&session.io(), session.quiet());
  Printed printed;
  auto deadline = std::chrono::steady_clock::now() + kRowDeadline;
  while (true) {
    const bool lives = IsAlive(process);
    ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadFile(log));
    Printed now = Parse(text);
    if (now.rows.size() > printed.rows.size()) {
      deadline = std::chrono::steady_clock::now() + kRowDeadline;
    }
    printed = std::move(now);
    if (!lives) break;
    ShowProgress(&live, printed);
    const bool late = std::chrono::steady_clock::now() > deadline;
    if (session.io().interrupted() || late) {
      ATTUNE_RETURN_IF_ERROR(Stop(process, kGrace).status());
      if (!late) return Cancelled("interrupted: the proof was ended");
      return DeadlineExceeded("attune-trainer compared no update for 10 minutes and was ended");
    }
    std::this_thread::sleep_for(kPoll);
  }
  waitpid(process.pid, nullptr, WNOHANG);
  return printed;
}

std::string Word(const Json& row, const char* key) {
  return row.value(key, false) ? "on" : "off";
}

// Absent where a number was not finite.
std::optional<double> Number(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string Said(const std::optional<double>& value) {
  return value ? FormatShort(*value) : "no number";
}

Table::Cell Difference(const Json& row, const char* key, double tolerance) {
  if (row.value("reference", false)) return {"reference", Style::kDim};
  const auto value = Number(row, key);
  const bool ok = value && *value <= tolerance;
  return {Said(value), ok ? Style::kNone : Style::kRed};
}

Table TableOf(const Json& rows, double tolerance) {
  Table table({{.header = "METHOD"},
               {.header = "RANKS", .right = true},
               {.header = "MICRO-BATCH", .right = true},
               {.header = "ACCUMULATION", .right = true},
               {.header = "PACKING"},
               {.header = "CHECKPOINTING"},
               {.header = "LOSS", .right = true},
               {.header = "GRADIENT", .right = true},
               {.header = "ADAMW", .right = true},
               {.header = "OK"}});
  for (const Json& row : rows) {
    const bool ok = row.value("ok", false);
    const auto loss = Number(row, "loss");
    table.Add({row.value("method", ""),
               std::to_string(row.value("world_size", 0)),
               std::to_string(row.value("micro_batch", 0)),
               std::to_string(row.value("accumulation", 0)),
               Word(row, "packing"),
               Word(row, "activation_checkpointing"),
               loss ? FormatFixed(*loss, 7) : std::string("no number"),
               Difference(row, "gradient_difference", tolerance),
               Difference(row, "adamw_difference", tolerance),
               {ok ? "ok" : "OFF", ok ? Style::kGreen : Style::kRed}});
  }
  return table;
}

// Of a key over all rows; null when one is no number.
Json Largest(const Json& rows, const char* key) {
  double largest = 0;
  for (const Json& row : rows) {
    const auto value = Number(row, key);
    if (!value) return {};
    largest = std::max(largest, *value);
  }
  return largest;
}

int64_t CountOff(const Json& rows) {
  return std::count_if(rows.begin(), rows.end(),
                       [](const Json& row) { return !row.value("ok", false); });
}

Json ReportOf(const Arguments& arguments, Json rows) {
  Json largest = Json::object();
  for (const char* key :
       {"loss_difference", "grad_norm_difference", "gradient_difference", "adamw_difference"}) {
    largest[key] = Largest(rows, key);
  }
  const double tolerance = rows[0].value("tolerance", 0.0);
  for (Json& row : rows) {
    for (const char* key : {"row", "rows", "tolerance"}) row.erase(key);
  }
  return {{"ok", CountOff(rows) == 0},
          {"tolerance", tolerance},
          {"device", arguments.Get("--device")},
          {"largest", std::move(largest)},
          {"rows", std::move(rows)}};
}

std::string Card(const Json& report, size_t width, bool color) {
  const double tolerance = report["tolerance"].get<double>();
  auto largest = [&](const char* key) { return Said(Number(report["largest"], key)); };
  const Json& rows = report["rows"];
  const int64_t off = CountOff(rows);
  const std::string limit = FormatShort(tolerance), all = std::to_string(rows.size());
  std::string text = TableOf(rows, tolerance).Render(width, color);
  text += off == 0 ? "The update is the same in all " + all + " ways, within " + limit + ".\n"
                   : std::to_string(off) + " of " + all + " ways make another update: more than " +
                         limit + " apart.\n";
  text += "Largest differences: " + largest("gradient_difference") +
          " of the gradient (of its largest element), " + largest("adamw_difference") +
          " of a weight after AdamW, " + largest("loss_difference") + " of the loss, " +
          largest("grad_norm_difference") + " of the gradient's norm.\n";
  if (off > 0) {
    text +=
        "What a job learns would depend on how it is spread over this machine: please report "
        "it, with `attune doctor --parity -o json`.\n";
  }
  return text;
}

}  // namespace

Result<int> RunParity(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const fs::path trainer, FindProgram("attune-trainer"));
  ATTUNE_ASSIGN_OR_RETURN(const Workplace place, Workplace::Make());
  CatchInterrupt catch_interrupt;
  ATTUNE_ASSIGN_OR_RETURN(const ProcessId process,
                          StartDetached(LaunchOf(trainer, place, arguments)));
  ATTUNE_ASSIGN_OR_RETURN(Printed printed, Follow(session, process, place.log()));
  if (!printed.whole()) {
    return Internal("attune-trainer ended before the proof did: " +
                    (printed.last_words.empty() ? "it said nothing" : printed.last_words));
  }
  const Json report = ReportOf(arguments, Json(std::move(printed.rows)));
  const bool ok = report["ok"].get<bool>();
  session.printer().Object(report, ok ? "ok" : "off",
                           Card(report, session.printer().width(), session.printer().color()));
  return ok ? kExitOk : kExitFailed;
}

}  // namespace attune::cli
