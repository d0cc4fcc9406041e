// Measures the tokenizing of prompts and completions: rows of about 1 KB out of real text.
//
//   prepare_bench MODEL TEXT_FOLDER [ROWS] [THREADS]
//
// MODEL is a Hugging Face folder or the folder of one GGUF file. The rows are cut out of the .py,
// .rst, .md and .txt files below TEXT_FOLDER, which are read again while there are too few; a
// number in each row makes it differ from all others.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/data/prepare.h"

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kRowBytes = 1000, kShardBytes = 16 << 20;

int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

// Of all threads, in user mode and the kernel: what other programs do meanwhile does not count.
double ProcessorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<std::string> Texts(const fs::path& folder) {
  const std::set<std::string> kinds = {".py", ".rst", ".md", ".txt"};
  std::vector<std::string> texts;
  size_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || !kinds.contains(entry.path().extension())) continue;
    auto text = attune::ReadFile(entry.path());
    if (text.ok() && text->size() > kRowBytes) texts.push_back(attune::ToValidUtf8(*text));
    if (!texts.empty() && (bytes += texts.back().size()) > (64u << 20)) break;
  }
  return texts;
}

class Dataset {
 public:
  explicit Dataset(fs::path folder) : folder_(std::move(folder)) {}

  void Add(const std::string& prompt, const std::string& completion) {
    char id[33];
    std::snprintf(id, sizeof id, "%032zu", rows_++);
    lines_ += Json{{"id", id},
                   {"kind", "prompt_completion"},
                   {"prompt", prompt},
                   {"completion", completion}}
                  .dump(-1, ' ', false, Json::error_handler_t::replace) +
              "\n";
    ++examples_;
    if (lines_.size() >= kShardBytes) Flush();
  }
  attune::engine::DatasetFiles Finish() {
    Flush();
    std::ofstream(folder_ / "manifest.json") << Json{{"checksum", "bench"}, {"shards", shards_}};
    return {"bench@1", folder_, "bench", 1};
  }
  size_t rows() const { return rows_; }
  size_t bytes() const { return bytes_; }

 private:
  void Flush() {
    if (lines_.empty()) return;
    const std::string file = "train-" + std::to_string(shards_.size()) + ".jsonl";
    std::ofstream(folder_ / file, std::ios::binary) << lines_;
    shards_.push_back({{"file", file},
                       {"split", "train"},
                       {"examples", std::exchange(examples_, 0)},
                       {"bytes", lines_.size()},
                       {"sha256", attune::Sha256Hex(lines_)}});
    bytes_ += lines_.size();
    lines_.clear();
  }

  const fs::path folder_;
  Json shards_ = Json::array();
  std::string lines_;
  size_t rows_ = 0, bytes_ = 0;
  int examples_ = 0;
};

void Fill(const std::vector<std::string>& texts, size_t rows, Dataset* dataset) {
  const auto boundary = [](const std::string& text, size_t at) {
    while (at < text.size() && (text[at] & 0xc0) == 0x80) ++at;
    return std::min(at, text.size());
  };
  while (dataset->rows() < rows) {
    for (const std::string& text : texts) {
      for (size_t at = 0; at + kRowBytes < text.size() && dataset->rows() < rows;) {
        const size_t middle = boundary(text, at + kRowBytes / 2);
        const size_t end = boundary(text, at + kRowBytes);
        dataset->Add("# " + std::to_string(dataset->rows()) + "\n" + text.substr(at, middle - at),
                     text.substr(middle, end - middle));
        at = end;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: prepare_bench MODEL TEXT_FOLDER [ROWS] [THREADS]\n");
    return 2;
  }
  const attune::TemporaryFolder folder;
  Dataset dataset(folder.path());
  Fill(Texts(argv[2]), argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 200'000, &dataset);
  attune::engine::PrepareTask task;
  const bool gguf = !fs::exists(fs::path(argv[1]) / "tokenizer.json");
  task.base = {.reference = "bench", .path = argv[1], .format = gguf ? "gguf" : "huggingface"};
  task.datasets = {dataset.Finish()};
  task.token_cache = folder.path() / "cache";
  task.train.sequence_length = 1024;
  task.train.threads = argc > 4 ? std::atoi(argv[4]) : 0;
  std::ofstream("/proc/self/clear_refs") << "5";
  const double processor_start = ProcessorSeconds();
  const auto start = std::chrono::steady_clock::now();
  attune::engine::Observer observer;
  const auto result = attune::engine::Prepare(task, observer);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!result.ok()) {
    std::fprintf(stderr, "error: %s\n", result.status().ToString().c_str());
    return 1;
  }
  std::printf(
      "%zu rows, %.1f MB, %.2f M tokens: %.2f s (%.2f s of processors), %.1f MB/s, peak %.0f MB\n",
      dataset.rows(), static_cast<double>(dataset.bytes()) / 1e6,
      static_cast<double>(result->tokens) / 1e6, seconds,
      static_cast<double>(dataset.bytes()) / 1e6 / seconds, static_cast<double>(PeakBytes()) / 1e6);
  return 0;
}
