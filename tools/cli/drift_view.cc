#include "tools/cli/drift_view.h"

#include <algorithm>
#include <map>

#include "tools/cli/format.h"
#include "tools/cli/plot.h"

namespace attune::cli {
namespace {

constexpr size_t kPlots = 2;
constexpr int kPlotWidth = 72, kPlotHeight = 7;
constexpr size_t kWindowRows = 10;
constexpr int kClusters = 5, kSamples = 3;
constexpr size_t kSampleWidth = 90;

Style StyleOfState(const std::string& state) {
  if (state == "alarm" || state == "failed") return Style::kRed;
  if (state == "drifting" || state == "no reference" || state == "unmeasured") {
    return Style::kYellow;
  }
  return state == "stable" ? Style::kGreen : Style::kNone;
}

std::string Verdict(const v1::Window& window) {
  if (window.state() != "measured") return window.state();
  return window.alarm() ? "alarm" : window.drifted() ? "drifting" : "stable";
}

std::string Plural(uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string NameOf(const v1::DetectorResult& result) {
  return result.feature() + " (" + result.detector() + ")";
}

// How much of what would be drift there is: 1 at the minimum.
double Strength(const v1::DetectorResult& result) {
  const double base = result.effect_name() == "AUC" ? 0.5 : 0;  // of no difference
  const double least = result.effect_min() - base;
  return least > 0 ? (result.effect() - base) / least : result.effect();
}

const v1::Window* LastMeasured(const std::vector<v1::Window>& windows) {
  auto found = std::find_if(windows.rbegin(), windows.rend(),
                            [](const v1::Window& w) { return w.state() == "measured"; });
  return found == windows.rend() ? nullptr : &*found;
}

struct Series {
  std::string effect_name;
  double effect_min = 0, strength = 0;
  std::vector<PlotPoint> line, marks;
};

// The detectors that saw most, each over the windows.
std::string Plots(const std::vector<v1::Window>& windows, const ViewOptions& options) {
  std::map<std::string, Series> all;
  for (const v1::Window& window : windows) {
    for (const v1::DetectorResult& result : window.detectors()) {
      Series& series = all[NameOf(result)];
      const PlotPoint point{static_cast<double>(window.number()), result.effect()};
      series.effect_name = result.effect_name();
      series.effect_min = result.effect_min();
      series.strength = std::max(series.strength, Strength(result));
      series.line.push_back(point);
      if (window.alarm() && result.drifted()) series.marks.push_back(point);
    }
  }
  std::vector<std::pair<std::string, Series>> sorted(all.begin(), all.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.strength > b.second.strength;
  });
  const int width = options.width == 0
                        ? kPlotWidth
                        : static_cast<int>(std::min<size_t>(options.width, kPlotWidth));
  std::string out;
  for (size_t i = 0; i < std::min(kPlots, sorted.size()); ++i) {
    const Series& series = sorted[i].second;
    if (series.line.size() < 2) continue;
    std::string plot = Plot(series.line, series.marks, width, kPlotHeight);
    if (plot.empty()) continue;
    out += "\n" +
           Paint(sorted[i].first + ": " + series.effect_name + " by window", Style::kBold,
                 options.color) +
           ", drift from " + FormatShort(series.effect_min) + ", ● alarm\n" + plot;
  }
  return out;
}

std::string WindowRows(const std::vector<v1::Window>& windows, const ViewOptions& options) {
  if (windows.empty()) return "";
  Table table({{.header = "WINDOW", .right = true},
               {.header = "CLOSED"},
               {.header = "EXAMPLES", .right = true},
               {.header = "DATASET", .optional = true},
               {.header = "VERDICT"},
               {.header = "WHY", .shrinks = true}});
  const size_t first = windows.size() > kWindowRows ? windows.size() - kWindowRows : 0;
  for (size_t i = first; i < windows.size(); ++i) {
    const v1::Window& window = windows[i];
    table.Add({std::to_string(window.number()),
               FormatLocalTime(window.closed()),
               std::to_string(window.examples()),
               window.dataset(),
               {Verdict(window) + (window.excluded() ? ", excluded" : ""),
                window.excluded() ? Style::kYellow : StyleOfState(Verdict(window))},
               (window.excluded() ? "not trained on: " + window.excluded_reason() + "; " : "") +
                   window.reason()});
  }
  return "\n" + table.Render(options.width, options.color);
}

std::string DetectorRows(const v1::Window& window, const ViewOptions& options) {
  if (window.detectors().empty()) return "";
  Table table({{.header = "DETECTOR"},
               {.header = "FEATURE"},
               {.header = "STATISTIC", .right = true, .optional = true},
               {.header = "ADJUSTED P", .right = true},
               {.header = "LEVEL", .right = true},
               {.header = "EFFECT", .right = true},
               {.header = "DRIFT FROM", .right = true},
               {.header = "IN"},
               {.header = "VERDICT"}});
  for (const v1::DetectorResult& result : window.detectors()) {
    table.Add({result.detector(),
               result.feature(),
               FormatShort(result.statistic()),
               FormatShort(result.adjusted_p()),
               result.level() > 0 ? FormatShort(result.level()) : "-",
               FormatShort(result.effect()),
               FormatShort(result.effect_min()),
               result.effect_name(),
               {result.drifted() ? "drift" : "-", result.drifted() ? Style::kRed : Style::kDim}});
  }
  return "\n" +
         Paint("Window " + std::to_string(window.number()) + " against " + window.profile(),
               Style::kBold, options.color) +
         "\n" + table.Render(options.width, options.color);
}

// What the table does not say of itself.
std::string Notes(const v1::Window& window, const ViewOptions& options) {
  std::string notes;
  const auto add = [&](const std::string& note) {
    notes += "  " + Paint(note, Style::kDim, options.color) + "\n";
  };
  if (window.has_labelled_loss()) {
    const v1::LabelledLoss& loss = window.labelled_loss();
    std::string note = "labelled loss: " + FormatShort(loss.mean()) +
                       " nats a token of the whole text of " + Plural(loss.examples(), "example") +
                       " with an answer";
    if (loss.p_value() < 1) {
      note += "; in the model's first windows " + FormatShort(loss.first_mean()) + " of " +
              std::to_string(loss.first_examples());
    }
    add(note);
  }
  for (const std::string& reason : window.not_compared()) add("not compared: " + reason);
  return notes;
}

std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string NewExamples(const v1::Window& window, const ViewOptions& options) {
  std::string out;
  const size_t width = options.width == 0 ? kSampleWidth : std::min(options.width, kSampleWidth);
  for (int i = 0; i < std::min(window.new_examples_size(), kClusters); ++i) {
    const v1::NewCluster& cluster = window.new_examples(i);
    std::string words;
    for (const std::string& word : cluster.words()) words += (words.empty() ? "" : ", ") + word;
    out += "\n" +
           Paint("New: " + Plural(cluster.examples(), "example"), Style::kBold, options.color) +
           ", " + FormatShort(cluster.distance()) + " radii from the nearest known group" +
           (words.empty() ? "" : "; words: " + OneLine(words)) + "\n";
    for (int s = 0; s < std::min(cluster.samples_size(), kSamples); ++s) {
      out += "  " + Paint(Fit(OneLine(cluster.samples(s)), width - 2), Style::kDim, options.color) +
             "\n";
    }
  }
  return out;
}

}  // namespace

Table StreamTable(const std::vector<v1::Stream>& streams, TimePoint now) {
  Table table({{.header = "STREAM", .shrinks = true},
               {.header = "STATE"},
               {.header = "MODEL"},
               {.header = "OBSERVED", .right = true},
               {.header = "REJECTED", .right = true, .optional = true},
               {.header = "WAITING", .right = true, .optional = true},
               {.header = "WINDOWS", .right = true, .optional = true},
               {.header = "WHY", .shrinks = true, .optional = true}});
  for (const v1::Stream& stream : streams) {
    std::string state = stream.state();
    if (stream.has_alarm_since()) state += " for " + FormatAge(stream.alarm_since(), now);
    table.Add({stream.spec().name(),
               {state, StyleOfState(stream.state())},
               stream.spec().model(),
               FormatCount(static_cast<double>(stream.observed())),
               FormatCount(static_cast<double>(stream.rejected())),
               std::to_string(stream.waiting()),
               std::to_string(stream.windows()),
               stream.problem().empty() ? stream.reason() : stream.problem()});
  }
  return table;
}

std::string StreamCard(const v1::Stream& stream, const std::vector<v1::Window>& windows,
                       const ViewOptions& options) {
  const v1::StreamSpec& spec = stream.spec();
  Card card(options);
  card.Title(spec.name());
  card.Row("State", stream.state(), StyleOfState(stream.state()));
  card.Row("Why", stream.reason());
  card.Row("Problem", stream.problem(), Style::kRed);
  card.Row("Model",
           spec.model() +
               (stream.profile().empty() ? "" : "  (" + stream.profile() + " in the last window)"));
  card.Row("Reference", spec.reference());
  card.Row("Observed", Plural(stream.observed(), "row") + ", " + std::to_string(stream.waiting()) +
                           " in the open window, " + Plural(stream.windows(), "window") +
                           " closed");
  if (stream.rejected() > 0) {
    card.Row("Rejected", Plural(stream.rejected(), "row") + ", at " +
                             FormatLocalTime(stream.rejected_at()) + " " + stream.rejected_last());
  }
  card.Row("Window", Plural(spec.window().examples(), "example") + ", or " +
                         FormatSeconds(spec.window().seconds()) + " with at least " +
                         std::to_string(spec.window().examples_min()));
  std::string folders;
  for (const std::string& folder : spec.folders()) {
    folders += (folders.empty() ? "" : "\n") + folder;
  }
  card.Row("Folders", folders);
  if (stream.has_alarm_since()) card.Row("Alarm since", FormatLocalTime(stream.alarm_since()));
  card.Row("Created", FormatLocalTime(stream.created()));
  std::string out = card.Render() + Plots(windows, options) + WindowRows(windows, options);
  const v1::Window* last = LastMeasured(windows);
  if (last == nullptr) return out;
  out += DetectorRows(*last, options) + Notes(*last, options) + NewExamples(*last, options);
  return out;
}

}  // namespace attune::cli
