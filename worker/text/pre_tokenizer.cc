#include "worker/text/pre_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

namespace attune::text {
namespace {

using Json = nlohmann::ordered_json;

// The expressions of the models' own tokenizer.json files; the names are those of llama.cpp's
// llama-vocab.cpp and of transformers' integrations/gguf/gguf_tokenizer_mapping.py.
constexpr char kLlama3[] =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)re"
    R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr char kQwen2[] = R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)re"
                          R"re( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr char kTekken[] =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)re"
    R"re(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
constexpr char kGpt4o[] =
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)re"
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)re"
    R"re([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)re"
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)re"
    R"re(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";

enum class Kind { kGpt2, kDigitsGpt2, kSplit };

struct Family {
  Kind kind;
  const char* split;  // for kSplit
  bool nfc;
  bool ignore_merges;
  bool add_bos_default;
};

constexpr Family kGpt2Family{Kind::kGpt2, nullptr, false, false, false};
constexpr Family kDigitsFamily{Kind::kDigitsGpt2, nullptr, false, false, false};
constexpr Family kLlama3Family{Kind::kSplit, kLlama3, false, true, true};
constexpr Family kLlama3LikeFamily{Kind::kSplit, kLlama3, false, false, false};
constexpr Family kQwen2Family{Kind::kSplit, kQwen2, true, false, false};
constexpr Family kTekkenFamily{Kind::kSplit, kTekken, false, true, true};
constexpr Family kGpt4oFamily{Kind::kSplit, kGpt4o, false, false, false};

struct Name {
  std::string_view name;
  const Family* family;
};

constexpr Name kNames[] = {
    {"default", &kGpt2Family},
    {"gpt-2", &kGpt2Family},
    {"phi-2", &kGpt2Family},
    {"olmo", &kGpt2Family},
    {"mpt", &kGpt2Family},
    {"jais", &kGpt2Family},
    {"trillion", &kGpt2Family},
    {"gigachat", &kGpt2Family},
    {"smollm", &kDigitsFamily},
    {"starcoder", &kDigitsFamily},
    {"refact", &kDigitsFamily},
    {"command-r", &kDigitsFamily},
    {"codeshell", &kDigitsFamily},
    {"exaone", &kDigitsFamily},
    {"minerva-7b", &kDigitsFamily},
    {"llama-bpe", &kLlama3Family},
    {"llama3", &kLlama3Family},
    {"llama-v3", &kLlama3Family},
    {"falcon3", &kLlama3Family},
    {"falcon-h1", &kLlama3Family},
    {"pixtral", &kLlama3Family},
    {"midm-2.0", &kLlama3Family},
    {"lfm2", &kLlama3Family},
    {"dbrx", &kLlama3LikeFamily},
    {"smaug-bpe", &kLlama3LikeFamily},
    {"qwen2", &kQwen2Family},
    {"deepseek-r1-qwen", &kQwen2Family},
    {"megrez", &kQwen2Family},
    {"kormo", &kQwen2Family},
    {"tekken", &kTekkenFamily},
    {"gpt-4o", &kGpt4oFamily},
    {"llama4", &kGpt4oFamily},
};

Json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json Sequence(Json first, Json second) {
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({first, second})}};
}

Json PreTokenizerJson(const Family& family) {
  switch (family.kind) {
    case Kind::kGpt2:
      return ByteLevel(true);
    case Kind::kDigitsGpt2:
      return Sequence({{"type", "Digits"}, {"individual_digits", true}}, ByteLevel(true));
    case Kind::kSplit:
      return Sequence({{"type", "Split"},
                       {"pattern", {{"Regex", family.split}}},
                       {"behavior", "Isolated"},
                       {"invert", false}},
                      ByteLevel(false));
  }
  return nullptr;
}

}  // namespace

Result<PreTokenizer> FindPreTokenizer(std::string_view name) {
  const Name* found = std::ranges::find(kNames, name, &Name::name);
  if (found == std::end(kNames)) {
    return InvalidArgument("tokenizer.ggml.pre is \"" + std::string(name) +
                           "\", which is not supported: import the model's Hugging Face folder, "
                           "with its tokenizer.json, instead of the GGUF file");
  }
  const Family& family = *found->family;
  PreTokenizer result;
  result.json = PreTokenizerJson(family).dump();
  result.normalizer_json = family.nfc ? R"({"type":"NFC"})" : "null";
  result.ignore_merges = family.ignore_merges;
  result.add_bos_default = family.add_bos_default;
  return result;
}

}  // namespace attune::text
