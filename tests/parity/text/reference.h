#pragma once

// The references that make_fixtures.py wrote: the committed ones, or a fresh full set in the
// folder that ATTUNE_PARITY_DIR names (tools/test --reference).

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker/text/text.h"

namespace attune::parity {

using Json = nlohmann::ordered_json;

inline std::filesystem::path ReferenceFolder() {
  const char* folder = std::getenv("ATTUNE_PARITY_DIR");
  return std::filesystem::path(folder == nullptr ? "tests/fixtures" : folder) / "text";
}

inline std::vector<Json> ReadLines(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::vector<Json> rows;
  for (std::string line; std::getline(stream, line);) rows.push_back(Json::parse(line));
  return rows;
}

// A tokenizer with references: its name is the folder of the references, `assets` where it lies.
struct Subject {
  std::string name;
  std::filesystem::path assets;
  bool available() const { return std::filesystem::exists(assets); }
};

inline std::vector<Subject> ChatSubjects() {
  return {{"small", ReferenceFolder() / "small"},
          {"smollm2", ".deps/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}};
}

inline std::vector<Subject> Subjects() {
  std::vector<Subject> subjects = ChatSubjects();
  subjects.push_back({"minilm", ".deps/models/minilm"});
  for (const char* name :
       {"t5", "wordpiece", "spm", "gpt-4o", "dbrx", "qwen2", "llama-bpe", "tekken"}) {
    subjects.push_back({name, ReferenceFolder() / name});
  }
  return subjects;
}

}  // namespace attune::parity
