#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "worker/text/gguf_tokenizer.h"
#include "worker/text/text.h"

namespace attune::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kTokenizerBytesMax = 256 << 20;
constexpr uint64_t kConfigBytesMax = 16 << 20;

// What a folder may hold of interest here; the first must be there. The last is read, not carried
// on: the exporter writes its own.
constexpr const char* kFiles[] = {
    "tokenizer.json",     "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.json", "chat_template.jinja",   "generation_config.json",  "config.json",
};
constexpr std::string_view kNotCarried[] = {"config.json"};

using Files = std::map<std::string, std::string, std::less<>>;

Result<Json> ParseObject(const Files& files, std::string_view name) {
  auto found = files.find(name);
  if (found == files.end()) return Json::object();
  Json json = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return InvalidArgument(std::string(name) + " is not a JSON object");
  return json;
}

// A special token is a text or an object with "content".
std::string TokenOf(const Json& config, const char* name) {
  auto found = config.find(name);
  if (found == config.end()) return std::string();
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
    return (*found)["content"].get<std::string>();
  }
  return std::string();
}

std::optional<bool> FlagOf(const Json& config, const char* name) {
  auto found = config.find(name);
  if (found == config.end() || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

// One template, or a list of named ones of which "default" is meant.
std::string TemplateOf(const Json& config) {
  auto found = config.find("chat_template");
  if (found == config.end()) return std::string();
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return std::string();
  for (const Json& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) continue;
    if (entry["name"] == "default" && entry["template"].is_string()) {
      return entry["template"].get<std::string>();
    }
  }
  return std::string();
}

void AddEndIds(const Json& config, std::vector<uint32_t>* ids) {
  auto add = [&](const Json& value) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT32_MAX) return;
    auto id = value.get<uint32_t>();
    if (std::ranges::find(*ids, id) == ids->end()) ids->push_back(id);
  };
  auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  if (found->is_array()) {
    for (const Json& value : *found) add(value);
  } else {
    add(*found);
  }
}

// The first id under the name, in the model's configuration or the one of its generation: models
// that come with a tokenizer.json alone say only this.
std::optional<uint32_t> IdOf(const Json& config, const char* name) {
  auto found = config.find(name);
  if (found == config.end()) return std::nullopt;
  const Json& value = found->is_array() && !found->empty() ? (*found)[0] : *found;
  if (!value.is_number_unsigned() || value.get<uint64_t>() > UINT32_MAX) return std::nullopt;
  return value.get<uint32_t>();
}

struct Configs {
  Json tokenizer, special, model, generation;
};

Result<Configs> ParseConfigs(const Files& files) {
  Configs configs;
  ATTUNE_ASSIGN_OR_RETURN(configs.tokenizer, ParseObject(files, "tokenizer_config.json"));
  ATTUNE_ASSIGN_OR_RETURN(configs.special, ParseObject(files, "special_tokens_map.json"));
  ATTUNE_ASSIGN_OR_RETURN(configs.model, ParseObject(files, "config.json"));
  ATTUNE_ASSIGN_OR_RETURN(configs.generation, ParseObject(files, "generation_config.json"));
  return configs;
}

Result<std::string> TemplateSource(const Files& files, const Configs& configs) {
  auto jinja = files.find("chat_template.jinja");
  if (jinja != files.end()) return jinja->second;
  ATTUNE_ASSIGN_OR_RETURN(Json legacy, ParseObject(files, "chat_template.json"));
  std::string source = TemplateOf(legacy);
  return source.empty() ? TemplateOf(configs.tokenizer) : source;
}

Result<std::shared_ptr<const Tokenizer>> MakeTokenizer(const Files& files, const Configs& configs,
                                                       const TextAssets& assets) {
  auto json = files.find("tokenizer.json");
  auto tokenizer = Tokenizer::FromJson(json->second);
  if (!tokenizer.ok()) return tokenizer.status().WithContext("tokenizer.json");
  // transformers: an explicit flag replaces what tokenizer.json adds.
  auto add_bos = FlagOf(configs.tokenizer, "add_bos_token");
  auto add_eos = FlagOf(configs.tokenizer, "add_eos_token");
  if (!add_bos && !add_eos) return tokenizer;
  auto framed = (*tokenizer)
                    ->Framed(add_bos.value_or(false) ? assets.bos_token : "",
                             add_eos.value_or(false) ? assets.eos_token : "");
  if (!framed.ok()) return framed.status().WithContext("tokenizer_config.json");
  return framed;
}

// A special token by its id in the configurations; empty when they have none, or the id is no
// token's.
std::string TokenById(const Configs& configs, const char* name, const Tokenizer& tokenizer) {
  std::optional<uint32_t> id = IdOf(configs.model, name);
  if (!id) id = IdOf(configs.generation, name);
  if (!id) return std::string();
  auto text = tokenizer.Decode({*id}, /*skip_special=*/false);
  return text.ok() && tokenizer.TokenToId(*text) == *id ? *text : std::string();
}

std::string Fingerprint(const TextAssets& assets, const Files& files, const Configs& configs,
                        std::string_view template_source) {
  Sha256 hash;
  auto add = [&hash](std::string_view part) {
    hash.Update(std::to_string(part.size()) + ":");
    hash.Update(part);
  };
  auto flag = [&](const char* name) {
    auto value = FlagOf(configs.tokenizer, name);
    add(!value ? "unset" : *value ? "yes" : "no");
  };
  add("attune text 1");
  add(files.find("tokenizer.json")->second);
  add(template_source);
  add(assets.bos_token);
  add(assets.eos_token);
  flag("add_bos_token");
  flag("add_eos_token");
  return hash.Hex();
}

Result<TextAssets> AssetsFromFiles(const Files& files) {
  ATTUNE_ASSIGN_OR_RETURN(Configs configs, ParseConfigs(files));
  TextAssets assets;
  auto token = [&](const char* name) {
    std::string text = TokenOf(configs.tokenizer, name);
    return text.empty() ? TokenOf(configs.special, name) : text;
  };
  assets.bos_token = token("bos_token");
  assets.eos_token = token("eos_token");
  ATTUNE_ASSIGN_OR_RETURN(assets.tokenizer, MakeTokenizer(files, configs, assets));
  if (assets.bos_token.empty()) {
    assets.bos_token = TokenById(configs, "bos_token_id", *assets.tokenizer);
  }
  if (assets.eos_token.empty()) {
    assets.eos_token = TokenById(configs, "eos_token_id", *assets.tokenizer);
  }
  if (!assets.eos_token.empty()) {
    int64_t id = assets.tokenizer->TokenToId(assets.eos_token);
    if (id < 0) {
      return InvalidArgument("tokenizer_config.json: eos_token \"" + assets.eos_token +
                             "\" is not a token of tokenizer.json");
    }
    assets.end_ids.push_back(static_cast<uint32_t>(id));
  }
  AddEndIds(configs.generation, &assets.end_ids);
  AddEndIds(configs.model, &assets.end_ids);
  ATTUNE_ASSIGN_OR_RETURN(std::string source, TemplateSource(files, configs));
  if (!source.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(assets.chat_template,
                            ChatTemplate::Parse(source, assets.bos_token, assets.eos_token));
  }
  assets.fingerprint = Fingerprint(assets, files, configs, source);
  for (const auto& [name, content] : files) {
    if (std::ranges::find(kNotCarried, name) == std::end(kNotCarried)) {
      assets.files.emplace_back(name, content);
    }
  }
  return assets;
}

Result<Files> ReadFolder(const fs::path& folder) {
  Files files;
  for (const char* name : kFiles) {
    uint64_t limit =
        std::string_view(name) == "tokenizer.json" ? kTokenizerBytesMax : kConfigBytesMax;
    auto content = ReadFile(folder / name, limit);
    if (content.ok()) {
      files[name] = std::move(*content);
    } else if (content.status().code() == StatusCode::kResourceExhausted) {
      return InvalidArgument(content.status().message());  // too large, not a full disk
    } else if (content.status().code() != StatusCode::kNotFound) {
      return content.status();
    }
  }
  return files;
}

Result<Files> ReadGguf(const fs::path& path) {
  ATTUNE_ASSIGN_OR_RETURN(auto file, gguf::File::Open(path));
  ATTUNE_ASSIGN_OR_RETURN(auto made, TextFilesFromGguf(*file));
  Files files;
  for (auto& [name, content] : made) files[name] = std::move(content);
  return files;
}

// The one .gguf file of a folder; kNotFound when there is none.
Result<fs::path> FindGguf(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".gguf") found.push_back(it->path());
  }
  if (error) return ErrnoStatus(error.value(), "list " + folder.string());
  if (found.empty()) {
    return InvalidArgument(
        "there is neither a tokenizer.json nor a .gguf file in " + folder.string() +
        " (a tokenizer.model alone is not enough: load and save the tokenizer with "
        "transformers to get a tokenizer.json)");
  }
  if (found.size() > 1) {
    return InvalidArgument(folder.string() + " has " + std::to_string(found.size()) +
                           " .gguf files, one was expected");
  }
  return found[0];
}

}  // namespace

Result<TextAssets> LoadTextAssets(const fs::path& folder_or_gguf) {
  std::error_code error;
  fs::path source = folder_or_gguf;
  const fs::file_type type = fs::status(source, error).type();
  if (type == fs::file_type::not_found) return NotFound("there is no " + source.string());
  if (type == fs::file_type::none) return ErrnoStatus(error.value(), source.string());
  if (fs::is_directory(source, error) && !fs::exists(source / "tokenizer.json", error)) {
    ATTUNE_ASSIGN_OR_RETURN(source, FindGguf(source));
  }
  auto files = fs::is_directory(source, error) ? ReadFolder(source) : ReadGguf(source);
  if (!files.ok()) return files.status().WithContext(source.string());
  auto assets = AssetsFromFiles(*files);
  if (!assets.ok()) return assets.status().WithContext(source.string());
  return assets;
}

}  // namespace attune::text
