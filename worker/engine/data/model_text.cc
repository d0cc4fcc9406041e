// What of a model the data needs: its text assets and the size of its vocabulary.

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/gguf/gguf.h"
#include "worker/engine/data/prepare.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kAdapterDepthMax = 8;

Result<fs::path> GgufFile(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".gguf") return it->path();
  }
  return NotFound("there is no .gguf file in " + path.string());
}

Result<int64_t> VocabularyOfGguf(const fs::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(fs::path file, GgufFile(path));
  ATTUNE_ASSIGN_OR_RETURN(auto gguf, gguf::File::Open(file));
  const gguf::Tensor* embedding = gguf->FindTensor("token_embd.weight");
  if (embedding == nullptr || embedding->dimensions.size() != 2) {
    return InvalidArgument(file.string() + ": there is no token_embd.weight of two dimensions");
  }
  return static_cast<int64_t>(embedding->dimensions[1]);
}

Result<int64_t> VocabularyOfFolder(const fs::path& folder) {
  fs::path file = folder / "config.json";
  ATTUNE_ASSIGN_OR_RETURN(std::string content, ReadFile(file));
  auto config = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return InvalidArgument(file.string() + " is not a JSON object");
  auto size = config.find("vocab_size");
  if (size == config.end() || !size->is_number_unsigned() || size->get<uint64_t>() == 0 ||
      size->get<uint64_t>() > UINT32_MAX) {
    return InvalidArgument(file.string() + ": \"vocab_size\" is missing or not a number above 0");
  }
  return size->get<int64_t>();
}

}  // namespace

Result<const ModelFiles*> RootModel(const ModelFiles& model) {
  const ModelFiles* root = &model;
  for (int depth = 0; root->format == "peft-adapter"; ++depth) {
    if (root->base == nullptr || depth == kAdapterDepthMax) {
      return InvalidArgument("the adapter " + model.reference + " has no base model");
    }
    root = root->base.get();
  }
  return root;
}

Result<text::TextAssets> LoadModelText(const ModelFiles& model) {
  std::error_code error;
  const ModelFiles* source = &model;
  if (model.format == "peft-adapter" && !fs::exists(model.path / "tokenizer.json", error)) {
    ATTUNE_ASSIGN_OR_RETURN(source, RootModel(model));
  }
  auto assets = text::LoadTextAssets(source->path);
  if (!assets.ok()) return assets.status().WithContext("model " + source->reference);
  return assets;
}

Result<int64_t> MaskToken(const text::TextAssets& text, const std::string& model) {
  for (const char* name : {"[MASK]", "<mask>"}) {
    const int64_t token = text.tokenizer->TokenToId(name);
    if (token >= 0) return token;
  }
  return InvalidArgument("the tokenizer of " + model +
                         " has no [MASK] token, which task: masked-lm needs")
      .WithField("base");
}

Result<int64_t> ModelVocabularySize(const ModelFiles& model) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelFiles* root, RootModel(model));
  auto size =
      root->format == "gguf" ? VocabularyOfGguf(root->path) : VocabularyOfFolder(root->path);
  if (!size.ok()) return size.status().WithContext("model " + root->reference);
  return size;
}

}  // namespace attune::engine
