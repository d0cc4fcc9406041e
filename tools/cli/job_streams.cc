#include <algorithm>
#include <limits>
#include <map>

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/plot.h"
#include "tools/cli/read_all.h"

namespace attune::cli {
namespace {

// Steps and evaluations of a job, as rows: one per step, with the evaluation made after it.
Table MetricsTable(const std::vector<v1::MetricPoint>& points, bool all) {
  constexpr size_t kRows = 24;
  Table table({{.header = "STEP", .right = true},
               {.header = "LOSS", .right = true},
               {.header = "VALIDATION", .right = true},
               {.header = "ACCURACY", .right = true, .optional = true},
               {.header = "TOKENS/S", .right = true, .optional = true},
               {.header = "SECONDS", .right = true, .optional = true},
               {.header = "LEARNING RATE", .right = true, .optional = true},
               {.header = "GRAD NORM", .right = true, .optional = true},
               {.header = "RANKS", .right = true, .optional = true}});
  std::map<uint32_t, v1::MetricPoint> rows;
  for (const v1::MetricPoint& point : points) rows[point.step()].MergeFrom(point);
  size_t stride = all || rows.size() <= kRows ? 1 : (rows.size() + kRows - 1) / kRows;
  size_t i = 0;
  for (const auto& [step, row] : rows) {
    bool shown = i % stride == 0 || i + 1 == rows.size() || row.has_validation_loss();
    ++i;
    if (!shown) continue;
    auto cell = [](bool has, const std::string& text) { return Table::Cell(has ? text : ""); };
    double speed = row.has_seconds() && row.seconds() > 0 ? row.tokens() / row.seconds() : 0;
    table.Add({std::to_string(step), cell(row.has_loss(), FormatLoss(row.loss())),
               cell(row.has_validation_loss(), FormatLoss(row.validation_loss())),
               cell(row.has_validation_accuracy(), FormatFixed(row.validation_accuracy(), 3)),
               cell(speed > 0, FormatRate(speed)),
               cell(row.has_seconds(), FormatFixed(row.seconds(), 2)),
               cell(row.has_learning_rate(), FormatShort(row.learning_rate())),
               cell(row.has_grad_norm(), FormatLoss(row.grad_norm())),
               cell(row.has_ranks(), std::to_string(row.ranks()))});
  }
  return table;
}

std::string LossPlot(const std::vector<v1::MetricPoint>& points, int width) {
  std::vector<PlotPoint> line, marks;
  for (const v1::MetricPoint& point : points) {
    if (point.has_loss()) line.push_back({static_cast<double>(point.step()), point.loss()});
    if (point.has_validation_loss())
      marks.push_back({static_cast<double>(point.step()), point.validation_loss()});
  }
  if (line.size() < 3) return "";
  return "loss per step" + std::string(marks.empty() ? "" : ", ● validation loss") + "\n" +
         Plot(line, marks, width, 10) + "\n";
}

void PrintMetrics(Session& session, const std::vector<v1::MetricPoint>& points, bool all) {
  if (session.printer().human() && !points.empty()) {
    int width = session.io().out_is_terminal ? std::min(session.io().width(), 100) : 80;
    session.printer().out() << LossPlot(points, width);
  }
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::MetricPoint& point : points) {
    items.push_back(spec::ToJson(point));
    names.push_back(std::to_string(point.step()));
  }
  session.printer().List(items, names, MetricsTable(points, all), "no metrics yet");
}

// One line of `job metrics -f` for a person.
std::string FollowedLine(const v1::MetricPoint& point) {
  std::string out = "step " + std::to_string(point.step());
  if (point.has_loss()) out += "  loss " + FormatLoss(point.loss());
  if (point.has_validation_loss())
    out += "  validation loss " + FormatLoss(point.validation_loss());
  if (point.has_validation_accuracy())
    out += "  accuracy " + FormatFixed(point.validation_accuracy(), 3);
  if (point.has_seconds() && point.seconds() > 0)
    out += "  " + FormatRate(point.tokens() / point.seconds()) + " tokens/s";
  return out;
}

}  // namespace

Result<int> RunJobMetrics(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  bool follow = arguments.Has("--follow");
  v1::ReadMetricsRequest request;
  request.set_id(arguments.Get("JOB"));
  request.set_after_step(static_cast<uint32_t>(
      std::min<uint64_t>(arguments.Whole("--after"), std::numeric_limits<uint32_t>::max())));
  request.set_follow(follow);
  bool as_they_come =
      session.printer().format() == Format::kJsonLines || (follow && session.printer().human());
  std::vector<v1::MetricPoint> points;
  uint32_t last_step = 0;
  int at_last_step = 0,
      repeated = 0;  // points of the last step, so that a new stream can start before it
  Status status = ReadAll<v1::MetricPoint>(
      session, *client, follow,
      [&](std::unique_ptr<grpc::ClientContext> context) {
        if (last_step > 0) request.set_after_step(last_step - 1);
        repeated = at_last_step;
        return std::make_unique<StreamReader<v1::MetricPoint>>(
            std::move(context), [&](auto* c, auto* queue) {
              return client->jobs().PrepareAsyncReadMetrics(c, request, queue);
            });
      },
      [&](const v1::MetricPoint& point) {
        if (point.step() == last_step && repeated > 0) {
          --repeated;
          return;
        }
        at_last_step = point.step() == last_step ? at_last_step + 1 : 1;
        last_step = point.step();
        if (!as_they_come) return points.push_back(point);
        session.printer().out() << (session.printer().human() ? FollowedLine(point)
                                                              : spec::ToJsonText(point))
                                << "\n";
        if (follow) session.printer().out().flush();
      });
  if (status.code() == StatusCode::kCancelled && session.io().interrupted())
    return kExitInterrupted;
  ATTUNE_RETURN_IF_ERROR(status);
  if (!as_they_come) PrintMetrics(session, points, arguments.Has("--all"));
  return kExitOk;
}

namespace {

// Prefixes whole lines with their rank; a line in pieces is held back until it is whole.
class LogPrinter {
 public:
  LogPrinter(Session* session, bool prefix) : session_(session), prefix_(prefix) {}
  ~LogPrinter() {
    for (auto& [of, log] : logs_) {
      if (!log.partial.empty()) Line(of.first, log.partial);
    }
  }

  void Take(const v1::LogChunk& chunk) {
    Log& log = logs_[{chunk.rank(), chunk.generation()}];
    uint64_t& next = log.next;
    std::string_view data = chunk.data();
    if (chunk.offset() < next)
      data.remove_prefix(std::min<uint64_t>(next - chunk.offset(), data.size()));
    next = std::max<uint64_t>(next, chunk.offset() + chunk.data().size());
    if (session_->printer().format() == Format::kJsonLines) {
      session_->printer().out() << spec::JsonText({{"rank", chunk.rank()},
                                                   {"generation", chunk.generation()},
                                                   {"offset", chunk.offset()},
                                                   {"data", std::string(data)}})
                                << "\n";
      return;
    }
    std::string& text = log.partial;
    text += data;
    size_t start = 0;
    for (size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1) {
      Line(chunk.rank(), text.substr(start, end - start));
    }
    text.erase(0, start);
  }

 private:
  void Line(uint32_t rank, const std::string& text) {
    if (prefix_) {
      session_->printer().out() << Paint("[" + std::to_string(rank) + "] ", Style::kDim,
                                         session_->printer().color());
    }
    session_->printer().out() << text << "\n";
  }

  Session* const session_;
  const bool prefix_;
  struct Log {
    uint64_t next = 0;    // the offset after the last byte
    std::string partial;  // a line without its end
  };
  std::map<std::pair<uint32_t, uint32_t>, Log> logs_;  // by rank and generation
};

}  // namespace

Result<int> RunJobLogs(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ReadLogsRequest request;
  request.set_id(arguments.Get("JOB"));
  request.set_all_ranks(!arguments.Has("--rank"));
  request.set_rank(static_cast<int32_t>(arguments.Number("--rank")));
  request.set_follow(arguments.Has("--follow"));
  request.set_tail_lines(static_cast<uint32_t>(
      std::min<uint64_t>(arguments.Whole("--tail"), std::numeric_limits<uint32_t>::max())));
  LogPrinter printer(&session, request.all_ranks());
  bool any = false;
  Status status = ReadAll<v1::LogChunk>(
      session, *client, request.follow(),
      [&](std::unique_ptr<grpc::ClientContext> context) {
        if (any) request.set_tail_lines(0);  // offsets tell what was printed already
        return std::make_unique<StreamReader<v1::LogChunk>>(
            std::move(context), [&](auto* c, auto* queue) {
              return client->jobs().PrepareAsyncReadLogs(c, request, queue);
            });
      },
      [&](const v1::LogChunk& chunk) {
        any = true;
        printer.Take(chunk);
      });
  if (status.code() == StatusCode::kCancelled && session.io().interrupted())
    return kExitInterrupted;
  ATTUNE_RETURN_IF_ERROR(status);
  if (!any) session.Say("no log lines yet");
  return kExitOk;
}

}  // namespace attune::cli
