// The memory of an import, as its header states it. ATTUNE_TEST_EXAMPLES sets how many rows; two
// million take half a minute.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "coordinator/datasets/importer.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune::datasets {
namespace {

constexpr uint64_t kBytesAnExample = 40;
// Of near-duplicates: clusters, and pages of the signatures, which the system may take back.
constexpr uint64_t kNearDuplicateBytesAnExample = 20 + 128;
// RowBatch on so many threads, the buffers of files, the mapped spool file and open shards.
constexpr int kThreads = 2;
// And the bands of near-duplicates.
constexpr uint64_t kFixedBytes = (96 + 64) << 20;

uint64_t StatusKiB(const char* key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + std::strlen(key), nullptr, 10);
  }
  return 0;
}

// The most that this process had in memory of its own since Reset.
class Peak {
 public:
  static void Reset() { std::ofstream("/proc/self/clear_refs") << 5; }
  static uint64_t Bytes() { return StatusKiB("VmHWM:") << 10; }
  static uint64_t BytesNow() { return StatusKiB("VmRSS:") << 10; }
};

int ExamplesOfTest() {
  const char* text = std::getenv("ATTUNE_TEST_EXAMPLES");
  return text == nullptr ? 200'000 : std::atoi(text);
}

TEST(ImportMemory, IsBoundedByTheNumberOfExamples) {
  TemporaryStorage storage;
  const int examples = ExamplesOfTest();
  Peak::Reset();
  const uint64_t before = Peak::BytesNow();
  uint64_t taken = 0, bytes = 0;
  {
    Importer importer(storage.path(), {.threads = kThreads});
    std::string rows;
    for (int i = 0; i < examples; ++i) {
      rows += "{\"prompt\":\"what is " + std::to_string(i) + "?\",\"completion\":\"" +
              std::string(100 + i % 100, 'x') + "\",\"source\":\"generated\"}\n";
      if (rows.size() < (1 << 20) && i + 1 < examples) continue;
      bytes += rows.size();
      ASSERT_TRUE(importer.Append("rows", rows).ok());
      rows.clear();
    }
    Result<Imported> imported = importer.Finish();
    ASSERT_TRUE(imported.ok()) << imported.status().ToString();
    EXPECT_EQ(
        imported->report.examples().at("train") + imported->report.examples().at("validation"),
        static_cast<uint64_t>(examples));
    taken = Peak::Bytes() - before;
  }
  std::printf("%d rows of %.0f MB took %.1f MB\n", examples, static_cast<double>(bytes) / 1e6,
              static_cast<double>(taken) / 1e6);
  EXPECT_LT(taken, kFixedBytes + (kBytesAnExample + kNearDuplicateBytesAnExample) *
                                     static_cast<uint64_t>(examples));
}

}  // namespace
}  // namespace attune::datasets
