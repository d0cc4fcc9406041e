// curation_bench FILE...
//
// How fast the parts of curation are on one core, over the rows ({"prompt", "completion"} or
// {"text"}, a line each) of the files: MB of text a second of processor time.

#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/curation/contamination.h"
#include "coordinator/curation/language.h"
#include "coordinator/curation/near_duplicates.h"
#include "coordinator/curation/patterns.h"
#include "coordinator/curation/reading_text.h"

namespace attune::curation {
namespace {

// Of the processor, not of the wall, as others may share it.
double Seconds(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

std::vector<std::string> ReadTexts(int count, char** files) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; ++i) {
    std::ifstream in(files[i]);
    for (std::string line; std::getline(in, line);) {
      const auto row = nlohmann::ordered_json::parse(line, nullptr, false);
      if (row.is_object()) texts.push_back(ReadingText(row));
    }
  }
  return texts;
}

PatternSet AllPatterns() {
  std::vector<PatternRule> rules;
  for (const BuiltinPattern& pattern : BuiltinPatterns()) {
    rules.push_back({std::string(pattern.name), "", Action::kReport});
  }
  return *PatternSet::Make(rules);
}

void Measure(const std::vector<std::string>& texts) {
  double bytes = 0;
  for (const std::string& text : texts) bytes += static_cast<double>(text.size());
  std::printf("%zu texts, %.1f MB\n", texts.size(), bytes / 1e6);
  const auto print = [&](const char* what, double seconds) {
    std::printf("%-28s %8.1f MB/s  %6.2f us a row\n", what, bytes / 1e6 / seconds,
                seconds * 1e6 / static_cast<double>(texts.size()));
  };
  std::vector<Signature> signatures;
  print("signatures", Seconds([&] {
          for (const std::string& text : texts) signatures.push_back(SignatureOf(text));
        }));
  size_t joined = 0;
  print("bands, sort, join", Seconds([&] {
          auto near = NearDuplicates::Create({.folder = "/tmp"});
          for (const Signature& signature : signatures) ATTUNE_CHECK(near->Add(signature).ok());
          const std::vector<uint32_t> first = *near->Finish();
          for (size_t i = 0; i < first.size(); ++i) joined += first[i] != i ? 1 : 0;
        }));
  const PatternSet patterns = AllPatterns();
  size_t matches = 0, known = 0, overlaps = 0;
  print("all built-in patterns", Seconds([&] {
          for (const std::string& text : texts) matches += patterns.Find(text).matches.size();
        }));
  print("language", Seconds([&] {
          for (const std::string& text : texts) known += LanguageOf(text).empty() ? 0 : 1;
        }));
  EvaluationRuns runs;
  for (size_t i = 0; i < texts.size(); i += 20) ATTUNE_CHECK(runs.Add(texts[i]).ok());
  print("contamination", Seconds([&] {
          for (const std::string& text : texts) overlaps += runs.Find(text) ? 1 : 0;
        }));
  std::printf("%zu near-duplicates, %zu pattern matches, %zu languages told, %zu overlaps\n",
              joined, matches, known, overlaps);
}

}  // namespace
}  // namespace attune::curation

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: curation_bench FILE...\n");
    return 2;
  }
  attune::curation::Measure(attune::curation::ReadTexts(argc - 1, argv + 1));
}
