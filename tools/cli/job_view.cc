#include "tools/cli/job_view.h"

#include <algorithm>
#include <cmath>

#include "common/spec/schema.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

std::string StepText(const v1::Job& job) {
  if (job.kind() != v1::Job::TRAIN) return "";
  if (job.total_steps() == 0) return job.step() == 0 ? "" : std::to_string(job.step());
  return std::to_string(job.step()) + "/" + std::to_string(job.total_steps());
}

std::string MetricText(const v1::Job& job, const char* name, std::string (*format)(double)) {
  auto it = job.metrics().find(name);
  return it == job.metrics().end() ? "" : format(it->second);
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string Capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(text[0]));
  return text;
}

// How long it ran: from its start to its end or now.
std::string RunTime(const v1::Job& job, TimePoint now) {
  if (!job.has_started()) return "";
  double end = job.has_ended() ? SecondsOf(job.ended()) : SecondsOf(now);
  return FormatSeconds(std::max(0.0, end - SecondsOf(job.started())));
}

std::string MethodText(const v1::JobSpec& spec) {
  const v1::MethodSpec& method = spec.method();
  if (method.type() == "full") return method.type();
  if (method.type() == "prompt-tuning") {
    return method.type() + ", " + std::to_string(method.virtual_tokens()) + " virtual tokens" +
           (method.init_text().empty() ? "" : " from '" + method.init_text() + "'");
  }
  return method.type() + ", rank " + std::to_string(method.rank()) +
         (method.rank_stabilized() ? " (rank_stabilized)" : "") + (method.dora() ? " (dora)" : "") +
         ", alpha " + FormatNumber(method.alpha()) + ", " + Joined(method.target_modules()) +
         (method.modules_to_save().empty() ? "" : ", whole: " + Joined(method.modules_to_save()));
}

std::string TrainText(const v1::JobSpec& spec) {
  const v1::TrainSpec& train = spec.train();
  return LengthText(train) + ", batch " + std::to_string(train.global_batch()) + " x " +
         std::to_string(train.sequence_length()) + " tokens, " + train.precision() +
         ", learning rate " + FormatNumber(spec.optimizer().learning_rate()) + " " +
         spec.optimizer().schedule();
}

std::string PlacementText(const v1::Job& job) {
  std::string out;
  for (const v1::Placement& placement : job.placements()) {
    out += (out.empty() ? "" : ", ") + std::to_string(placement.rank()) + " on " +
           placement.node() + "/" + std::to_string(placement.slot());
  }
  return out;
}

void AddProgress(const v1::Job& job, const ViewOptions& options, Card* card) {
  if (job.progress().total() > 0) {
    const double share = job.progress().done() / job.progress().total();
    const std::string eta = EtaText(job.progress());
    card->Row("Prepared", PreparedText(job.progress()) + "  " + Bar(share, 20, true) + " " +
                              std::to_string(static_cast<int>(share * 100)) + "%" +
                              (eta.empty() ? "" : "  " + eta));
  }
  if (!StepText(job).empty() && job.total_steps() > 0) {
    double share = static_cast<double>(job.step()) / job.total_steps();
    card->Row("Step", StepText(job) + "  " + Bar(share, 20, true) + " " +
                          std::to_string(static_cast<int>(share * 100)) + "%");
  }
  std::string metrics;
  auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) metrics += (metrics.empty() ? "" : "   ") + name + " " + value;
  };
  add("loss", MetricText(job, "loss", FormatLoss));
  std::string first = MetricText(job, "first_validation_loss", FormatLoss);
  std::string last = MetricText(job, "validation_loss", FormatLoss);
  add("validation loss", first.empty() || first == last ? last : first + " → " + last);
  add("tokens/s", MetricText(job, "tokens_per_second", FormatRate));
  card->Row("Metrics", metrics);
}

// What a rank took at most so far, beside what it was to take.
std::string MemoryText(const v1::Job& job) {
  const std::string measured = MetricText(job, "peak_memory", FormatBytes);
  if (measured.empty()) return "";
  const std::string predicted = MetricText(job, "predicted_memory", FormatBytes);
  return measured + " measured" + (predicted.empty() ? "" : ", " + predicted + " predicted") +
         " (a rank)";
}

void AddIncidents(const v1::Job& job, const ViewOptions& options, Card* card) {
  for (const v1::Incident& incident : job.incidents()) {
    std::string where = incident.rank() < 0 ? "worker" : "rank " + std::to_string(incident.rank());
    std::string text = FormatLocalTime(incident.time()) + "  " + where + " on " + incident.node() +
                       " at step " + std::to_string(incident.step()) + ": " + incident.cause();
    for (const std::string& line : incident.log_tail()) text += "\n  | " + line;
    card->Row("Incident", text, Style::kYellow);
  }
}

}  // namespace

std::string PreparedText(const v1::JobProgress& progress) {
  return std::to_string(std::llround(progress.done())) + "/" +
         std::to_string(std::llround(progress.total())) + " examples";
}

std::string EtaText(const v1::JobProgress& progress) {
  return progress.has_seconds_left() ? "ETA " + FormatSeconds(progress.seconds_left()) : "";
}

bool IsFinal(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

std::string StateName(const v1::Job& job) {
  return v1::Job::State_Name(job.state());
}

Table JobTable(const std::vector<v1::Job>& jobs, TimePoint now) {
  bool kinds = std::any_of(jobs.begin(), jobs.end(),
                           [](const v1::Job& job) { return job.kind() != v1::Job::TRAIN; });
  std::vector<Table::Column> columns = {{.header = "ID"}, {.header = "NAME", .shrinks = true}};
  if (kinds) columns.push_back({.header = "KIND"});
  for (Table::Column column : std::initializer_list<Table::Column>{
           {.header = "STATE"},
           {.header = "STEP", .right = true},
           {.header = "LOSS", .right = true, .optional = true},
           {.header = "VALIDATION", .right = true, .optional = true},
           {.header = "RANKS", .right = true, .optional = true},
           {.header = "AGE", .right = true, .optional = true},
           {.header = "MODEL", .shrinks = true, .optional = true},
           {.header = "REASON", .shrinks = true, .optional = true}}) {
    columns.push_back(column);
  }
  Table table(columns);
  for (const v1::Job& job : jobs) {
    std::vector<Table::Cell> row = {job.id(), job.name()};
    if (kinds) row.emplace_back(v1::Job::Kind_Name(job.kind()));
    row.emplace_back(StateName(job), StyleOf(job.state()));
    row.emplace_back(StepText(job));
    row.emplace_back(MetricText(job, "loss", FormatLoss));
    row.emplace_back(MetricText(job, "validation_loss", FormatLoss));
    row.emplace_back(job.ranks() == 0 ? "" : std::to_string(job.ranks()));
    row.emplace_back(FormatAge(job.created(), now));
    row.emplace_back(job.model());
    row.emplace_back(job.state() == v1::Job::SUCCEEDED ? "" : job.reason());
    table.Add(std::move(row));
  }
  return table;
}

void Card::Title(const std::string& title) {
  lines_.push_back({"", title, Style::kBold});
}
void Card::Text(const std::string& text) {
  lines_.push_back({"", text, Style::kNone});
}
void Card::Row(const std::string& key, const std::string& value, Style style) {
  if (!value.empty()) lines_.push_back({key, value, style});
}

std::string Card::Render() const {
  size_t left = 0;
  for (const Line& line : lines_) left = std::max(left, DisplayWidth(line.key));
  std::string out, previous;
  for (const Line& line : lines_) {
    if (line.key.empty()) {
      out += Paint(line.value, line.style, options_.color) + "\n";
      previous.clear();
      continue;
    }
    std::string key = line.key == previous ? "" : line.key;
    previous = line.key;
    std::string margin = "  " + std::string(left, ' ') + "  ";
    std::string head = "  " + Paint(key, Style::kDim, options_.color) +
                       std::string(left - DisplayWidth(key), ' ') + "  ";
    size_t room = options_.width > margin.size() + 20 ? options_.width - margin.size() : 0;
    std::string_view rest = line.value;
    while (true) {  // the value's lines, each wrapped into the room
      std::string text(rest.substr(0, rest.find('\n')));
      while (room > 0 && DisplayWidth(text) > room) {
        size_t cut = text.rfind(' ', room);
        if (cut == std::string::npos || cut == 0) break;
        out += head + Paint(text.substr(0, cut), line.style, options_.color) + "\n";
        text = text.substr(cut + 1);
        head = margin;
      }
      out += head + Paint(text, line.style, options_.color) + "\n";
      head = margin;
      if (rest.find('\n') == rest.npos) break;
      rest.remove_prefix(rest.find('\n') + 1);
    }
  }
  return out;
}

namespace {

// " (share 0.3)" or " (weight 3)", where it is not just there once.
std::string AmountText(double weight, double share) {
  if (share > 0) return " (share " + FormatNumber(share) + ")";
  return weight == 1 || weight == 0 ? "" : " (weight " + FormatNumber(weight) + ")";
}

// The data sets as they were resolved, else as they were named.
std::string DataText(const v1::Job& job) {
  if (job.spec().datasets().empty()) return Joined(job.datasets());
  std::string text;
  for (int i = 0; i < job.spec().datasets_size(); ++i) {
    const v1::DatasetRef& dataset = job.spec().datasets(i);
    text += (text.empty() ? "" : ", ") +
            (i < job.datasets_size() ? job.datasets(i) : dataset.name()) +
            AmountText(dataset.weight(), dataset.share());
  }
  return text;
}

std::string RegularizeText(const v1::RegularizeSpec& regularize) {
  if (regularize.type().empty() || regularize.type() == "none") return "";
  return regularize.type() + ", strength " + FormatNumber(regularize.strength());
}

}  // namespace

std::string LengthText(const v1::TrainSpec& train) {
  std::vector<std::string> ends;
  // Without a number of its own it has as many epochs as are needed.
  const bool free =
      train.epochs() >= spec::kEpochsMost && (train.max_steps() > 0 || train.max_tokens() > 0);
  if (!free) {
    ends.push_back(FormatNumber(train.epochs()) + (train.epochs() == 1 ? " epoch" : " epochs"));
  }
  if (train.max_steps() > 0) ends.push_back(std::to_string(train.max_steps()) + " steps");
  if (train.max_tokens() > 0) ends.push_back(std::to_string(train.max_tokens()) + " tokens");
  if (train.max_seconds() > 0) ends.push_back(std::to_string(train.max_seconds()) + " s");
  std::string text = ends.front();
  for (size_t i = 1; i < ends.size(); ++i) text += ", at most " + ends[i];
  return text;
}

std::string JobCard(const v1::Job& job, const ViewOptions& options) {
  Card card(options);
  card.Title(job.name() + "  " + job.id());
  std::string state = StateName(job);
  if (job.kind() != v1::Job::TRAIN) state += "  (" + v1::Job::Kind_Name(job.kind()) + ")";
  card.Row("State", state, StyleOf(job.state()));
  card.Row("Reason", Capitalized(job.reason()));
  AddProgress(job, options, &card);
  card.Row("Model", job.model(), Style::kGreen);
  card.Row("Base", job.base().empty() ? job.spec().base() : job.base());
  card.Row("Data", DataText(job));
  if (job.kind() == v1::Job::TRAIN || job.kind() == v1::Job::PLAN) {
    card.Row("Method", MethodText(job.spec()));
    card.Row("Training", TrainText(job.spec()));
    card.Row("Regularize", RegularizeText(job.spec().regularize()));
  }
  for (const std::string& warning : job.warnings()) card.Row("Warning", warning, Style::kYellow);
  if (job.ranks() > 0) card.Row("Ranks", std::to_string(job.ranks()));
  card.Row("Memory", MemoryText(job));
  card.Row("Placed", PlacementText(job));
  if (job.generation() > 1) {
    card.Row("Attempts", std::to_string(job.generation()) + " (" + std::to_string(job.restarts()) +
                             " lost to failures, at most " +
                             std::to_string(job.spec().retry().max_restarts()) + ")");
  }
  std::string age = FormatAge(job.created(), options.now);
  card.Row("Created", FormatLocalTime(job.created()) + (age.empty() ? "" : "  (" + age + " ago)"));
  card.Row("Ran", RunTime(job, options.now));
  AddIncidents(job, options, &card);
  return card.Render();
}

std::string ExplanationCard(const v1::JobExplanation& explanation, const ViewOptions& options) {
  Card card(options);
  card.Title(explanation.job_id() + "  " + v1::Job::State_Name(explanation.state()));
  card.Row("Summary", explanation.summary());
  for (const std::string& reason : explanation.reasons()) card.Row("Because", reason);
  for (const std::string& fix : explanation.unblocks())
    card.Row("Goes on when", fix, Style::kGreen);
  return card.Render();
}

double NumberAt(const nlohmann::ordered_json& json, const char* key) {
  auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>() : 0.0;
}

namespace {

// "live-docs@2: 900 examples an epoch (weight 3)", or "(share 0.3)", a line a data set.
std::string PlannedData(const nlohmann::ordered_json& plan) {
  std::string lines;
  auto datasets = plan.find("datasets");
  if (datasets == plan.end() || !datasets->is_array()) return lines;
  for (const auto& dataset : *datasets) {
    auto name = dataset.find("reference");
    if (name == dataset.end() || !name->is_string()) continue;
    lines += (lines.empty() ? "" : "\n") + name->get<std::string>() + ": " +
             FormatCount(NumberAt(dataset, "examples_an_epoch")) + " examples an epoch" +
             AmountText(NumberAt(dataset, "weight"), NumberAt(dataset, "share"));
  }
  return lines;
}

// What best packing could fill at most, unless that is what it fills.
std::string PossibleFill(const nlohmann::ordered_json& plan) {
  const double fill = NumberAt(plan, "fill"), limit = NumberAt(plan, "fill_limit");
  if (limit < fill + 0.001) return "";  // also of a plan without it
  return " (at most " + FormatNumber(std::round(limit * 1000) / 10) + "% is possible)";
}

}  // namespace

std::string PlanCard(const nlohmann::ordered_json& plan, const v1::JobSpec& spec,
                     const ViewOptions& options) {
  Card card(options);
  card.Title("Plan of " + spec.name() + " (nothing was trained)");
  double ranks = plan.contains("ranks") ? NumberAt(plan, "ranks") : spec.ranks().max();
  double steps = NumberAt(plan, "steps");
  card.Row("Steps", FormatNumber(steps) + " of " + std::to_string(spec.train().global_batch()) +
                        " sequences x " + std::to_string(spec.train().sequence_length()) +
                        " tokens");
  card.Row("Examples", FormatCount(NumberAt(plan, "examples")) + " in " +
                           FormatCount(NumberAt(plan, "sequences")) + " sequences, " +
                           FormatNumber(std::round(NumberAt(plan, "fill") * 1000) / 10) +
                           "% filled" + PossibleFill(plan));
  card.Row("Data", PlannedData(plan));
  card.Row("Tokens", FormatCount(NumberAt(plan, "tokens")) + ", of which " +
                         FormatCount(NumberAt(plan, "target_tokens")) + " are learned");
  card.Row("Parameters", FormatCount(NumberAt(plan, "parameters")) + ", of which " +
                             FormatCount(NumberAt(plan, "trainable_parameters")) + " are trained");
  card.Row("Ranks", FormatNumber(ranks));
  if (auto memory = plan.find("memory"); memory != plan.end() && memory->is_object()) {
    double total = 0;
    std::string parts;
    for (const char* part :
         {"weights", "gradients", "optimizer", "regularize", "activations", "overhead"}) {
      // Most jobs have no penalty, and earlier plans no such part.
      if (part == std::string_view("regularize") && NumberAt(*memory, part) == 0) continue;
      total += NumberAt(*memory, part);
      parts += (parts.empty() ? "" : ", ") + std::string(part) + " " +
               FormatBytes(NumberAt(*memory, part));
    }
    card.Row("Memory", FormatBytes(total) + " per rank (" + parts + ")");
  }
  if (auto warnings = plan.find("warnings"); warnings != plan.end() && warnings->is_array()) {
    for (const auto& warning : *warnings) {
      if (warning.is_string()) card.Row("Warning", warning.get<std::string>(), Style::kYellow);
    }
  }
  return card.Render();
}

}  // namespace attune::cli
