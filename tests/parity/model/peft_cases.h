#pragma once

// The cases of tests/parity/peft_references.py and prompt_references.py.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace attune::engine {

inline const std::string kPeftCases[] = {
    "saved",     "saved-tied", "saved-gpt2", "saved-heads", "patterns",  "layers",   "bias-all",
    "bias-lora", "bias-saved", "lora-bias",  "dora",        "dora-some", "dora-gpt2"};

inline const std::string kPromptCases[] = {"llama", "gpt2", "qwen2", "gemma2", "gemma3"};

inline std::string PeftCaseName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace attune::engine
