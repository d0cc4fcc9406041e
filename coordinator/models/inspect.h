#pragma once

// What a folder of model files is, and whether its headers make sense. Reads configurations and
// headers, never the weights themselves; every byte is taken for hostile.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::models {

inline constexpr char kHuggingFace[] = "huggingface";
inline constexpr char kAdapter[] = "peft-adapter";
inline constexpr char kGguf[] = "gguf";

// The files of a model in place, before anything of it is copied.
struct Source {
  std::string format;
  struct File {
    std::filesystem::path from;
    std::string name;  // in the registry
  };
  std::vector<File> files;
};

// path: a Hugging Face folder, a PEFT adapter folder, a GGUF file or a folder with one. Only files
// of known names are taken. kInvalidArgument when it is none of these, has weights in pickle files
// only (they can run code), or lacks a file; the message says which.
Result<Source> FindFiles(const std::filesystem::path& path);

struct Inspection {
  std::string format;
  std::string architecture;  // empty for an adapter: its base's
  uint64_t parameters = 0;
  std::string adapter_base;  // base_model_name_or_path of an adapter's configuration
};

// Checks a folder with files as in the registry: that a job could load it, as far as headers tell.
// The files must not change meanwhile (they are mapped).
Result<Inspection> Inspect(const std::filesystem::path& folder);

// The rest of an adapter's check, which needs its base: both are folders as in the registry.
Status CheckAdapterFits(const std::filesystem::path& adapter, const std::filesystem::path& base);

// Names of weight shards by a model.safetensors.index.json, each once; kInvalidArgument for a name
// that is not a plain file name.
Result<std::vector<std::string>> IndexedShards(const std::filesystem::path& index);

}  // namespace attune::models
