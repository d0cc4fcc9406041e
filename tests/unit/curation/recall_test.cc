// What is found among real texts, the docstrings of Python's own library, against their exact
// similarity.

#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "coordinator/curation/banding.h"
#include "coordinator/curation/near_duplicates.h"
#include "tests/support/temporary_folder.h"

namespace attune::curation {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBytesMin = 200;

std::string LibraryFolder() {
  std::FILE* python =
      popen("python3 -c 'import sysconfig; print(sysconfig.get_path(\"stdlib\"), end=\"\")'", "r");
  std::array<char, 1024> path{};
  const size_t size = python == nullptr ? 0 : std::fread(path.data(), 1, path.size() - 1, python);
  if (python != nullptr) pclose(python);
  return std::string(path.data(), size);
}

// What stands between triple quotes in the library's files, in the order of their names.
std::vector<std::string> Docstrings() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(LibraryFolder())) {
    if (entry.path().extension() == ".py") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<std::string> texts;
  for (const fs::path& file : files) {
    Result<std::string> content = ReadFile(file);
    if (!content.ok()) continue;
    size_t begin = 0;
    while ((begin = content->find("\"\"\"", begin)) != std::string::npos) {
      const size_t end = content->find("\"\"\"", begin + 3);
      if (end == std::string::npos) break;
      if (end - begin > kBytesMin) texts.push_back(content->substr(begin + 3, end - begin - 3));
      begin = end + 3;
    }
  }
  return texts;
}

// The text with so many of its words replaced.
std::string Edited(const std::string& text, uint64_t edits, Random* random) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  for (uint64_t i = 0; i < edits; ++i) words[random->Below(words.size())] = "edited";
  std::string edited;
  for (const std::string& word : words) edited += word + " ";
  return edited;
}

struct Bin {
  double from, to;
  double expected = 0;  // sum of FoundProbability
  int pairs = 0, found = 0;
};

// Pairs of a docstring, every fourth, and an edited copy of it.
TEST(Recall, IsThatOfTheFormulaOnDocstrings) {
  const std::vector<std::string> texts = Docstrings();
  ASSERT_GT(texts.size(), 2000u) << "in " << LibraryFolder();
  const TemporaryFolder folder;
  Random random(11);
  std::array<Bin, 7> bins = {
      {{0, 0.6}, {0.6, 0.7}, {0.7, 0.75}, {0.75, 0.8}, {0.8, 0.85}, {0.85, 0.9}, {0.9, 1.01}}};
  for (size_t i = 0; i < texts.size(); i += 4) {
    const std::string& text = texts[i];
    if (text.size() > 4000) continue;
    const uint64_t words = std::max<uint64_t>(1, text.size() / 7);
    const std::string edited = Edited(text, random.Below(words / 12 + 2), &random);
    const double exact = Jaccard(Shingles(text), Shingles(edited));
    Result<NearDuplicates> pair =
        NearDuplicates::Create({.folder = folder.path(), .buffer_bytes = 1024});
    ASSERT_TRUE(pair.ok());
    ASSERT_TRUE(pair->Add(SignatureOf(text)).ok() && pair->Add(SignatureOf(edited)).ok());
    const bool found = pair->Finish()->at(1) == 0;
    for (Bin& bin : bins) {
      if (exact < bin.from || exact >= bin.to) continue;
      ++bin.pairs;
      bin.found += found ? 1 : 0;
      bin.expected += FoundProbability(kThresholdDefault, exact);
    }
  }
  int above = 0, above_found = 0, found = 0;
  for (const Bin& bin : bins) {
    std::printf("Jaccard %.2f to %.2f: %d of %d pairs found, expected %.1f\n", bin.from, bin.to,
                bin.found, bin.pairs, bin.expected);
    const double deviation = std::sqrt(bin.pairs * 0.25) + 1;
    EXPECT_GT(bin.pairs, 30) << bin.from;
    EXPECT_NEAR(bin.found, bin.expected, std::min(4 * deviation, 0.05 * bin.pairs + 4)) << bin.from;
    found += bin.found;
    if (bin.from < kThresholdDefault) continue;
    above += bin.pairs;
    above_found += bin.found;
  }
  std::printf(
      "%zu texts; of %d pairs with 0.8 or more %.2f %% found; %.2f %% of those found have it\n",
      texts.size(), above, 100.0 * above_found / above, 100.0 * above_found / found);
  EXPECT_GT(above_found, 0.97 * above);
}

// Among all docstrings at once, every pair that is joined directly or by others is checked.
TEST(Recall, JoinsFewDocstringsThatAreNotAlike) {
  std::vector<std::string> texts = Docstrings();
  const TemporaryFolder folder;
  Result<NearDuplicates> near = NearDuplicates::Create({.folder = folder.path()});
  ASSERT_TRUE(near.ok());
  for (const std::string& text : texts) ASSERT_TRUE(near->Add(SignatureOf(text)).ok());
  const std::vector<uint32_t> first = *near->Finish();
  int joined = 0, unlike = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (first[i] == i) continue;
    ++joined;
    unlike += Jaccard(Shingles(texts[i]), Shingles(texts[first[i]])) < 0.7 ? 1 : 0;
  }
  std::printf(
      "%d of %zu docstrings have a near-duplicate before them; %d are less than 0.7 alike\n",
      joined, texts.size(), unlike);
  EXPECT_GT(joined, 20);
  EXPECT_LE(unlike, joined / 10);
}

}  // namespace
}  // namespace attune::curation
