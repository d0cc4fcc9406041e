#include "tools/cli/gate_view.h"

#include "common/base/text.h"
#include "common/gates/text.h"
#include "tools/cli/format.h"

namespace attune::cli {
namespace {

std::string VerdictName(v1::GateReport::Verdict verdict) {
  std::string name = v1::GateReport::Verdict_Name(verdict);
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

Style StyleOfVerdict(v1::GateReport::Verdict verdict) {
  if (verdict == v1::GateReport::PASSED) return Style::kGreen;
  return verdict == v1::GateReport::FAILED ? Style::kRed : Style::kYellow;
}

// A model's words: no control character may reach the terminal (C0, DEL, and C1 in UTF-8).
std::string OneLine(const std::string& text) {
  std::string line;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    (static_cast<unsigned char>(text[i + 1]) & 0xe0) == 0x80;
    i += c1;
    line += c < 0x20 || c == 0x7f || c1 ? ' ' : text[i];
  }
  return line;
}

bool ComparesWithChampion(const v1::GateResult& gate) {
  return gate.gate() == "champion" || gate.gate() == "retention";
}

std::string Signed(double value) {
  return (value > 0 ? "+" : "") + ShortNumber(value);
}

std::string Amount(const v1::GateResult& gate, double value) {
  return gate.gate() == "size" ? FormatBytes(value) : ShortNumber(value);
}

std::string ValueOf(const v1::GateResult& gate) {
  if (gate.method().empty()) return "";
  return ComparesWithChampion(gate) ? Signed(gate.value()) : Amount(gate, gate.value());
}

bool HasBounds(const v1::GateResult& gate) {
  return gate.confidence() > 0 && gate.method() != "estimate";
}

// A bound of the value.
std::string BoundOf(const v1::GateResult& gate, double bound) {
  if (!HasBounds(gate)) return "";
  return ComparesWithChampion(gate) ? Signed(bound) : ShortNumber(bound);
}

Table GateTable(const v1::GateReport& report) {
  Table table({{.header = "VERDICT"},
               {.header = "GATE"},
               {.header = "NAME", .shrinks = true},
               {.header = "VALUE", .right = true},
               {.header = "AT LEAST", .right = true, .optional = true},
               {.header = "AT MOST", .right = true, .optional = true},
               {.header = "LIMIT", .right = true, .optional = true},
               {.header = "SURE", .right = true, .optional = true},
               {.header = "EXAMPLES", .right = true, .optional = true},
               {.header = "METHOD", .shrinks = true, .optional = true}});
  for (const v1::GateResult& gate : report.gates()) {
    const bool limited = gate.gate() != "untouched" && !gate.method().empty();
    table.Add({{VerdictName(gate.verdict()), StyleOfVerdict(gate.verdict())},
               gate.gate(),
               OneLine(gate.name()),
               ValueOf(gate),
               BoundOf(gate, gate.lower()),
               BoundOf(gate, gate.upper()),
               limited ? Amount(gate, gate.bound()) : "",
               HasBounds(gate) ? gates::Percent(gate.confidence()) : "",
               gate.examples() == 0 ? "" : std::to_string(gate.examples()),
               gate.method()});
  }
  return table;
}

Table SkillTable(const v1::GateReport& report) {
  Table table({{.header = "SKILL", .shrinks = true},
               {.header = "METRIC"},
               {.header = "BEFORE", .right = true},
               {.header = "AFTER", .right = true},
               {.header = "WORSE BY", .right = true},
               {.header = "BUDGET", .right = true, .optional = true},
               {.header = "KEPT"}});
  for (const v1::SkillChange& skill : report.skills()) {
    table.Add({OneLine(skill.skill()),
               skill.metric(),
               ShortNumber(skill.before()),
               ShortNumber(skill.after()),
               Signed(skill.worse_by()),
               ShortNumber(skill.budget()),
               {skill.kept() ? "yes" : "no", skill.kept() ? Style::kGreen : Style::kRed}});
  }
  return table;
}

Table SliceTable(const v1::GateResult& gate) {
  Table table({{.header = "SLICE", .shrinks = true},
               {.header = "EXAMPLES", .right = true},
               {.header = "CANDIDATE", .right = true},
               {.header = "CHAMPION", .right = true, .optional = true}});
  for (const v1::SliceResult& slice : gate.slices()) {
    table.Add({OneLine(slice.key() + "=" + slice.value()), std::to_string(slice.examples()),
               ShortNumber(slice.candidate()),
               ComparesWithChampion(gate) ? ShortNumber(slice.champion()) : ""});
  }
  return table;
}

// The slices of the champion's gate, which have both models; without it those of the first goal.
const v1::GateResult* SlicedGate(const v1::GateReport& report) {
  const v1::GateResult* first = nullptr;
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.slices().empty()) continue;
    if (gate.gate() == "champion") return &gate;
    if (first == nullptr) first = &gate;
  }
  return first;
}

std::string Examples(const v1::GateReport& report, const ViewOptions& options) {
  std::string out;
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.deciding().empty()) continue;
    out += "\n" + Paint(gate.gate() + " " + OneLine(gate.name()), Style::kBold, options.color) +
           (gate.verdict() == v1::GateReport::PASSED ? ": what speaks most for the candidate\n"
                                                     : ": what speaks most against it\n");
    for (const v1::DecidingExample& example : gate.deciding()) {
      Card card(options);
      if (!example.id().empty()) {
        const std::string champion =
            ComparesWithChampion(gate) ? ShortNumber(example.champion()) + " -> " : "";
        card.Row("Example", example.id() + "  " + champion + ShortNumber(example.candidate()));
      }
      card.Row("Prompt", OneLine(example.prompt()));
      card.Row(gate.gate() == "smoke" ? "Why" : "Reference", OneLine(example.reference()));
      card.Row("Answer", OneLine(example.answer()));
      out += card.Render();
    }
  }
  return out;
}

}  // namespace

std::string GateReportCard(const v1::GateReport& report, bool examples,
                           const ViewOptions& options) {
  Card card(options);
  card.Title(report.candidate());
  card.Row("Verdict", VerdictName(report.verdict()), StyleOfVerdict(report.verdict()));
  card.Row("Why", OneLine(report.summary()));
  card.Row("Champion", report.champion().empty() ? "none" : report.champion());
  std::string jobs;
  for (const std::string& job : report.job_ids()) jobs += (jobs.empty() ? "" : ", ") + job;
  card.Row("Evaluated by", jobs);
  card.Row("Measured in", OneLine(report.measured()));
  card.Row("Facts", report.facts_path());
  card.Row("Checksum", report.facts_checksum());
  std::string out = card.Render() + "\n" + GateTable(report).Render(options.width, options.color);
  Card reasons(options);
  bool compares = false, bounded = false;
  for (const v1::GateResult& gate : report.gates()) {
    compares |= ComparesWithChampion(gate) && !gate.method().empty();
    bounded |= HasBounds(gate);
    if (gate.verdict() == v1::GateReport::PASSED) continue;
    reasons.Row(gate.gate() + " " + OneLine(gate.name()), OneLine(gate.explanation()));
  }
  if (compares) {
    out += Paint("The value of champion and retention is by how much the candidate is worse.",
                 Style::kDim, options.color) +
           "\n";
  }
  if (bounded) {
    out += Paint("At least and at most are one-sided: each alone is as sure as its row says.",
                 Style::kDim, options.color) +
           "\n";
  }
  if (report.verdict() != v1::GateReport::PASSED) out += "\n" + reasons.Render();
  if (!report.skills().empty()) {
    out += "\n" + SkillTable(report).Render(options.width, options.color);
  }
  if (const v1::GateResult* sliced = SlicedGate(report)) {
    out += "\n" + sliced->gate() + " by slice: " + OneLine(sliced->name()) + "\n" +
           SliceTable(*sliced).Render(options.width, options.color);
  }
  return examples ? out + Examples(report, options) : out;
}

}  // namespace attune::cli
