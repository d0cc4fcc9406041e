#include "tools/cli/data_check_view.h"

#include <algorithm>
#include <cmath>

#include "tools/cli/format.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kBarWidth = 40;
// Of each piece of a sample; what is between is left out.
constexpr size_t kFirstLines = 4, kLastLines = 4;

const Json& At(const Json& json, const char* key) {
  static const Json kNothing;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return found != json.end() ? *found : kNothing;
}

std::string TextAt(const Json& json, const char* key) {
  const Json& text = At(json, key);
  return text.is_string() ? text.get<std::string>() : "";
}

std::string Percent(double part, double whole) {
  return whole > 0 ? FormatFixed(100 * part / whole, 1) + "%" : "-";
}

// Over all data sets of the job, of the training split.
double InTraining(const Json& plan, const char* key) {
  double sum = 0;
  for (const Json& dataset : At(plan, "datasets")) sum += NumberAt(At(dataset, "train"), key);
  return sum;
}

std::string LostText(const Json& plan) {
  std::string text;
  const std::pair<const char*, const char*> lost[] = {
      {"truncated", "cut"},
      {"without_target", "dropped, as nothing of them is learned"},
      {"unusable", "left out, as they cannot be used"}};
  const double examples = InTraining(plan, "examples");
  for (const auto& [key, words] : lost) {
    const double count = InTraining(plan, key);
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + FormatCount(count) + " (" + Percent(count, examples) +
            ") " + words;
  }
  return text.empty() ? "none is cut or left out" : text;
}

std::string StepsText(const Json& plan) {
  const Json& tokens = At(At(plan, "check"), "step_tokens");
  return FormatNumber(NumberAt(plan, "steps")) + " of " + FormatCount(NumberAt(tokens, "min")) +
         " to " + FormatCount(NumberAt(tokens, "max")) + " tokens (median " +
         FormatCount(NumberAt(tokens, "median")) + "); " +
         FormatFixed(100 * (1 - NumberAt(plan, "fill")), 2) + "% of the sequences is padding";
}

std::string Histogram(const Json& bins) {
  double most = 0;
  for (const Json& bin : bins) most = std::max(most, NumberAt(bin, "examples"));
  std::string text;
  for (const Json& bin : bins) {
    const double examples = NumberAt(bin, "examples");
    std::string range =
        FormatNumber(NumberAt(bin, "from")) + " to " + FormatNumber(NumberAt(bin, "to"));
    range.insert(0, range.size() < 14 ? 14 - range.size() : 0, ' ');
    text += (text.empty() ? "" : "\n") + range + " " +
            Bar(most > 0 ? examples / most : 0, kBarWidth, /*utf8=*/true) + " " +
            FormatCount(examples);
  }
  return text;
}

// Whole lines only: a style ends before a line does, so that a pager or a cut cannot lose its end.
std::string PaintLines(const std::string& text, Style style, bool color) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) out += Paint(text.substr(begin, end - begin), style, color);
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  return out;
}

// Control characters of a text that others wrote must not reach the terminal.
std::string Printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < ' ' && c != '\n') || byte == 0x7f) c = ' ';
  }
  return text;
}

// The first and the last lines.
std::string Abridged(const std::string& text) {
  std::vector<size_t> starts = {0};
  for (size_t end; (end = text.find('\n', starts.back())) != std::string::npos;) {
    starts.push_back(end + 1);
  }
  if (starts.size() <= kFirstLines + kLastLines + 1) return text;
  return text.substr(0, starts[kFirstLines]) + "…\n" +
         text.substr(starts[starts.size() - kLastLines]);
}

std::string SampleText(const Json& sample, bool color) {
  std::string text;
  for (const Json& piece : At(sample, "pieces")) {
    const bool learned = At(piece, "learned") == true;
    const std::string words = Abridged(Printable(TextAt(piece, "text")));
    if (color) {
      text += PaintLines(words, learned ? Style::kGreen : Style::kDim, color);
    } else {
      text += learned ? "⟦" + words + "⟧" : words;
    }
  }
  return "\n" + Paint("Example " + TextAt(sample, "id"), Style::kBold, color) +
         (color ? " (learned: " + Paint("green", Style::kGreen, color) + ")" : "") + "\n" + text +
         "\n";
}

void AddWords(const Json& list, const char* key, Style style, Card* card) {
  for (const Json& words : list) {
    if (words.is_string()) card->Row(key, words.get<std::string>(), style);
  }
}

}  // namespace

std::string DataCheckCard(const Json& plan, const v1::JobSpec& spec, int samples,
                          const ViewOptions& options) {
  const Json& check = At(plan, "check");
  Card card(options);
  card.Title("Data of " + spec.name());
  card.Row("Examples", FormatCount(NumberAt(plan, "examples")) + " in " +
                           FormatCount(NumberAt(plan, "sequences")) + " sequences of " +
                           std::to_string(spec.train().sequence_length()) + " tokens; " +
                           LostText(plan));
  const double tokens = NumberAt(plan, "tokens"), learned = NumberAt(plan, "target_tokens");
  card.Row("Learned", FormatCount(learned) + " of " + FormatCount(tokens) + " tokens (" +
                          Percent(learned, tokens) + "), the others are masked");
  card.Row("End", FormatCount(NumberAt(check, "ends_learned")) + " of " +
                      FormatCount(NumberAt(check, "whole")) +
                      " whole examples teach the model to stop");
  const double compared = NumberAt(check, "compared");
  if (compared > 0) {
    card.Row("Serving", FormatCount(compared - NumberAt(check, "served_otherwise")) + " of " +
                            FormatCount(compared) +
                            " prompts are served in the tokens they were trained on");
  }
  card.Row("Leaks", NumberAt(check, "leaked") == 0
                        ? "no training example is in a validation split"
                        : FormatCount(NumberAt(check, "leaked")) + " training examples");
  card.Row("Steps", StepsText(plan));
  card.Row("Lengths", Histogram(At(check, "lengths")));
  AddWords(At(check, "problems"), "Problem", Style::kRed, &card);
  AddWords(At(check, "warnings"), "Warning", Style::kYellow, &card);
  AddWords(At(plan, "warnings"), "Warning", Style::kYellow, &card);
  std::string text = card.Render();
  const Json& shown = At(check, "samples");
  for (size_t i = 0; i < std::min(shown.size(), static_cast<size_t>(samples)); ++i) {
    text += SampleText(shown[i], options.color);
  }
  return text;
}

bool HasProblem(const Json& plan) {
  return !At(At(plan, "check"), "problems").empty();
}

}  // namespace attune::cli
