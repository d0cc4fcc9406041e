#include "worker/text/gguf_tokenizer.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/utf8.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/sentencepiece.h"

namespace attune::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTokensMax = 4 << 20;
constexpr size_t kContextMax = 1 << 30;

// llama.cpp's token types.
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;

struct Special {
  std::optional<size_t> bos, eos, unknown, padding, end_of_turn;
};

struct Vocabulary {
  std::string model;  // "gpt2" or "llama"
  std::vector<std::string_view> tokens;
  std::vector<std::string> spelled;  // as tokenizer.json has them
  std::vector<int64_t> types;        // empty when the file has none
  Special special;
  bool add_bos = false, add_eos = false, add_space_prefix = true;
};

std::string Quoted(std::string_view text) {
  return Json(text).dump();
}

std::string Utf8(uint32_t code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xc0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3f))};
}

// GPT-2's printable spelling of the 256 bytes.
const std::array<std::string, 256>& ByteAlphabet() {
  static const auto* const kAlphabet = [] {
    auto* alphabet = new std::array<std::string, 256>;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
      (*alphabet)[byte] = Utf8(printable ? byte : next++);
    }
    return alphabet;
  }();
  return *kAlphabet;
}

bool InByteAlphabet(std::string_view token) {
  for (size_t i = 0; i < token.size(); ++i) {
    auto lead = static_cast<unsigned char>(token[i]);
    uint32_t code_point = lead;
    if (lead >= 0x80) {
      // Two bytes at most: the last code point of the alphabet is 0x143.
      if (lead < 0xc2 || lead > 0xc5 || i + 1 >= token.size()) return false;
      code_point = (lead & 0x1fu) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3fu);
    }
    bool printable = (code_point >= 0x21 && code_point <= 0x7e) ||
                     (code_point >= 0xa1 && code_point != 0xad && code_point <= 0x143);
    if (!printable) return false;
  }
  return true;
}

std::string SpellBytes(std::string_view token) {
  std::string spelled;
  for (char byte : token) spelled += ByteAlphabet()[static_cast<unsigned char>(byte)];
  return spelled;
}

Result<std::optional<size_t>> TokenAt(const gguf::File& file, const char* key, size_t tokens) {
  if (file.Find(key) == nullptr) return std::optional<size_t>();
  ATTUNE_ASSIGN_OR_RETURN(uint64_t id, file.GetUint(key));
  if (id >= tokens) {
    return InvalidArgument(std::string(key) + " is " + std::to_string(id) +
                           ", but there are only " + std::to_string(tokens) + " tokens");
  }
  return std::optional<size_t>(id);
}

Result<bool> Flag(const gguf::File& file, const char* key, bool otherwise) {
  if (file.Find(key) == nullptr) return otherwise;
  return file.GetBool(key);
}

Result<Special> ReadSpecial(const gguf::File& file, size_t tokens) {
  Special special;
  ATTUNE_ASSIGN_OR_RETURN(special.bos, TokenAt(file, "tokenizer.ggml.bos_token_id", tokens));
  ATTUNE_ASSIGN_OR_RETURN(special.eos, TokenAt(file, "tokenizer.ggml.eos_token_id", tokens));
  ATTUNE_ASSIGN_OR_RETURN(special.unknown,
                          TokenAt(file, "tokenizer.ggml.unknown_token_id", tokens));
  ATTUNE_ASSIGN_OR_RETURN(special.padding,
                          TokenAt(file, "tokenizer.ggml.padding_token_id", tokens));
  ATTUNE_ASSIGN_OR_RETURN(special.end_of_turn,
                          TokenAt(file, "tokenizer.ggml.eot_token_id", tokens));
  return special;
}

bool IsAdded(const Vocabulary& vocabulary, size_t id) {
  if (id < vocabulary.types.size() &&
      (vocabulary.types[id] == kControl || vocabulary.types[id] == kUserDefined)) {
    return true;
  }
  const Special& special = vocabulary.special;
  return special.bos == id || special.eos == id || special.unknown == id || special.padding == id ||
         special.end_of_turn == id;
}

Result<Vocabulary> ReadVocabulary(const gguf::File& file) {
  Vocabulary vocabulary;
  ATTUNE_ASSIGN_OR_RETURN(std::string_view model, file.GetString("tokenizer.ggml.model"));
  vocabulary.model = model;
  if (model != "gpt2" && model != "llama") {
    return InvalidArgument("tokenizer.ggml.model is \"" + vocabulary.model +
                           "\"; supported are \"gpt2\" and \"llama\": import the model's Hugging "
                           "Face folder, with its tokenizer.json, instead of the GGUF file");
  }
  ATTUNE_ASSIGN_OR_RETURN(vocabulary.tokens, file.GetStrings("tokenizer.ggml.tokens"));
  size_t count = vocabulary.tokens.size();
  if (count == 0 || count > kTokensMax) {
    return InvalidArgument("tokenizer.ggml.tokens has " + std::to_string(count) + " entries");
  }
  if (file.Find("tokenizer.ggml.token_type") != nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(vocabulary.types, file.GetInts("tokenizer.ggml.token_type"));
    if (vocabulary.types.size() != count) {
      return InvalidArgument("tokenizer.ggml.token_type has " +
                             std::to_string(vocabulary.types.size()) + " entries for " +
                             std::to_string(count) + " tokens");
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(vocabulary.special, ReadSpecial(file, count));
  vocabulary.spelled.reserve(count);
  for (size_t id = 0; id < count; ++id) {
    std::string_view token = vocabulary.tokens[id];
    if (ToValidUtf8(token) != token) {
      return InvalidArgument("token " + std::to_string(id) + " of the GGUF file is not UTF-8");
    }
    bool respell = model == "gpt2" && !IsAdded(vocabulary, id) && !InByteAlphabet(token);
    vocabulary.spelled.push_back(respell ? SpellBytes(token) : std::string(token));
  }
  return vocabulary;
}

std::string AddedTokensJson(const Vocabulary& vocabulary) {
  Json added = Json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!IsAdded(vocabulary, id)) continue;
    bool plain = id < vocabulary.types.size() && vocabulary.types[id] == kUserDefined;
    added.push_back({{"id", id},
                     {"content", vocabulary.spelled[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", !plain}});
  }
  return added.dump();
}

std::string PostProcessorJson(const Vocabulary& vocabulary) {
  Json single = Json::array(), special = Json::object();
  auto add = [&](std::optional<size_t> id) {
    const std::string& token = vocabulary.spelled[*id];
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  if (vocabulary.add_bos && vocabulary.special.bos) add(vocabulary.special.bos);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (vocabulary.add_eos && vocabulary.special.eos) add(vocabulary.special.eos);
  Json pair = single;
  for (Json part : single) {
    part.begin().value()["type_id"] = 1;
    if (part.contains("Sequence")) part["Sequence"]["id"] = "B";
    pair.push_back(part);
  }
  return Json{{"type", "TemplateProcessing"},
              {"single", single},
              {"pair", pair},
              {"special_tokens", special}}
      .dump();
}

std::string VocabularyJson(const Vocabulary& vocabulary) {
  std::string json = "{";
  for (size_t id = 0; id < vocabulary.spelled.size(); ++id) {
    if (id > 0) json += ',';
    json += Quoted(vocabulary.spelled[id]) + ":" + std::to_string(id);
  }
  return json + "}";
}

Result<std::vector<Merge>> ReadMerges(const gguf::File& file, const Vocabulary& vocabulary) {
  if (file.Find("tokenizer.ggml.merges") == nullptr) {
    if (vocabulary.model != "llama") {
      return InvalidArgument("tokenizer.ggml.merges is missing from the GGUF file");
    }
    ATTUNE_ASSIGN_OR_RETURN(std::vector<double> scores, file.GetFloats("tokenizer.ggml.scores"));
    return MergesFromScores(vocabulary.tokens, scores);
  }
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string_view> lines,
                          file.GetStrings("tokenizer.ggml.merges"));
  std::vector<Merge> merges;
  merges.reserve(lines.size());
  for (std::string_view line : lines) {
    size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos ||
        ToValidUtf8(line) != line) {
      return InvalidArgument("merge " + std::to_string(merges.size()) +
                             " of the GGUF file is not two tokens with a space between");
    }
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return merges;
}

std::string MergesJson(const std::vector<Merge>& merges) {
  std::string json = "[";
  for (const Merge& merge : merges) {
    if (json.size() > 1) json += ',';
    json += "[" + Quoted(merge.left) + "," + Quoted(merge.right) + "]";
  }
  return json + "]";
}

struct Shape {
  std::string normalizer = "null", pre_tokenizer = "null", decoder, model_options;
};

Shape SentencePieceShape(const Vocabulary& vocabulary) {
  Shape shape;
  const char* scheme = vocabulary.add_space_prefix ? "first" : "never";
  shape.pre_tokenizer = Json{
      {"type", "Metaspace"},
      {"replacement", "▁"},
      {"prepend_scheme", scheme},
      {"split", false}}.dump();
  Json decoders =
      Json::array({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}});
  if (vocabulary.add_space_prefix) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  shape.decoder = Json{{"type", "Sequence"}, {"decoders", decoders}}.dump();
  shape.model_options =
      R"("dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,)"
      R"("fuse_unk":true,"byte_fallback":true,"ignore_merges":false)";
  return shape;
}

Shape ByteLevelShape(const PreTokenizer& pre_tokenizer) {
  Shape shape;
  shape.normalizer = pre_tokenizer.normalizer_json;
  shape.pre_tokenizer = pre_tokenizer.json;
  shape.decoder =
      R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true})";
  shape.model_options =
      R"("dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"",)"
      R"("fuse_unk":false,"byte_fallback":false,"ignore_merges":)";
  shape.model_options += pre_tokenizer.ignore_merges ? "true" : "false";
  return shape;
}

std::string TokenizerJson(const Vocabulary& vocabulary, const Shape& shape,
                          const std::vector<Merge>& merges) {
  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":)" +
         AddedTokensJson(vocabulary) + R"(,"normalizer":)" + shape.normalizer +
         R"(,"pre_tokenizer":)" + shape.pre_tokenizer + R"(,"post_processor":)" +
         PostProcessorJson(vocabulary) + R"(,"decoder":)" + shape.decoder +
         R"(,"model":{"type":"BPE",)" + shape.model_options + R"(,"vocab":)" +
         VocabularyJson(vocabulary) + R"(,"merges":)" + MergesJson(merges) + "}}";
}

Json SpecialTokensJson(const Vocabulary& vocabulary) {
  Json map = Json::object();
  auto add = [&](const char* name, std::optional<size_t> id) {
    if (id) map[name] = vocabulary.spelled[*id];
  };
  add("bos_token", vocabulary.special.bos);
  add("eos_token", vocabulary.special.eos);
  add("unk_token", vocabulary.special.unknown);
  add("pad_token", vocabulary.special.padding);
  return map;
}

Json TokenizerConfigJson(const gguf::File& file, const Vocabulary& vocabulary) {
  Json config = SpecialTokensJson(vocabulary);
  config["add_bos_token"] = vocabulary.add_bos && vocabulary.special.bos.has_value();
  config["add_eos_token"] = vocabulary.add_eos && vocabulary.special.eos.has_value();
  config["clean_up_tokenization_spaces"] = false;
  auto architecture = file.GetString("general.architecture");
  if (architecture.ok()) {
    auto context = file.GetUint(std::string(*architecture) + ".context_length");
    if (context.ok() && *context <= kContextMax) config["model_max_length"] = *context;
  }
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return config;
}

Json GenerationConfigJson(const Special& special) {
  Json config = Json::object();
  if (special.bos) config["bos_token_id"] = *special.bos;
  if (special.eos && special.end_of_turn && special.end_of_turn != special.eos) {
    config["eos_token_id"] = {*special.eos, *special.end_of_turn};
  } else if (special.eos) {
    config["eos_token_id"] = *special.eos;
  }
  if (special.padding) config["pad_token_id"] = *special.padding;
  return config;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> TextFilesFromGguf(const gguf::File& file) {
  ATTUNE_ASSIGN_OR_RETURN(Vocabulary vocabulary, ReadVocabulary(file));
  Shape shape;
  bool add_bos_default = true;  // as llama.cpp does for a SentencePiece vocabulary
  ATTUNE_ASSIGN_OR_RETURN(vocabulary.add_space_prefix,
                          Flag(file, "tokenizer.ggml.add_space_prefix", true));
  if (vocabulary.model == "llama") {
    shape = SentencePieceShape(vocabulary);
  } else {
    std::string_view name = "default";
    if (file.Find("tokenizer.ggml.pre") != nullptr) {
      ATTUNE_ASSIGN_OR_RETURN(name, file.GetString("tokenizer.ggml.pre"));
    }
    ATTUNE_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, FindPreTokenizer(name));
    shape = ByteLevelShape(pre_tokenizer);
    add_bos_default = pre_tokenizer.add_bos_default;
  }
  ATTUNE_ASSIGN_OR_RETURN(vocabulary.add_bos,
                          Flag(file, "tokenizer.ggml.add_bos_token", add_bos_default));
  ATTUNE_ASSIGN_OR_RETURN(vocabulary.add_eos, Flag(file, "tokenizer.ggml.add_eos_token", false));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<Merge> merges, ReadMerges(file, vocabulary));

  std::vector<std::pair<std::string, std::string>> files;
  files.emplace_back("tokenizer.json", TokenizerJson(vocabulary, shape, merges));
  files.emplace_back("tokenizer_config.json", TokenizerConfigJson(file, vocabulary).dump(2) + "\n");
  files.emplace_back("special_tokens_map.json", SpecialTokensJson(vocabulary).dump(2) + "\n");
  files.emplace_back("generation_config.json",
                     GenerationConfigJson(vocabulary.special).dump(2) + "\n");
  if (file.Find("tokenizer.chat_template") != nullptr) {
    ATTUNE_ASSIGN_OR_RETURN(std::string_view source, file.GetString("tokenizer.chat_template"));
    if (ToValidUtf8(source) != source) {
      return InvalidArgument("tokenizer.chat_template of the GGUF file is not UTF-8");
    }
    files.emplace_back("chat_template.jinja", source);
  }
  return files;
}

}  // namespace attune::text
