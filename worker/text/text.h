#pragma once

// Tokenizers and chat templates. Behind it: the Rust crates `tokenizers` and `minijinja` (rust/),
// through a C ABI that catches panics. Objects are immutable and may be shared between threads.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace attune::text {

struct Encoding {
  std::vector<uint32_t> ids;
  std::vector<std::pair<uint32_t, uint32_t>> offsets;  // byte range in the text of each id
};

// The ids of a text, of which the first `same` are also those of its start alone.
struct StartedIds {
  std::vector<uint32_t> ids;
  size_t same = 0;
};

class Tokenizer {
 public:
  // Content of a tokenizer.json; at most 256 MiB.
  static Result<std::shared_ptr<const Tokenizer>> FromJson(std::string_view json);
  // A copy whose add_special puts bos before and eos after a text (those not empty) and nothing
  // else.
  Result<std::shared_ptr<const Tokenizer>> Framed(std::string_view bos, std::string_view eos) const;
  // A copy that encodes by the crate `tokenizers` alone: what the fast way is held against.
  Result<std::shared_ptr<const Tokenizer>> ByCrate() const;
  ~Tokenizer();

  // A byte-level BPE tokenizer, encoded some ten times faster than by the crate, to the same ids.
  bool fast() const;

  // Special tokens written in the text are recognised; with add_special also what the
  // post-processor adds.
  Result<Encoding> Encode(std::string_view text, bool add_special) const;
  // Ids only, without the cost of offsets; texts in parallel on the given number of threads.
  Result<std::vector<std::vector<uint32_t>>> EncodeBatch(const std::vector<std::string_view>& texts,
                                                         bool add_special, int threads) const;
  // start_bytes: of the text, at the beginning of a character.
  Result<StartedIds> EncodeAfter(std::string_view text, size_t start_bytes, bool add_special) const;
  Result<std::string> Decode(const std::vector<uint32_t>& ids, bool skip_special) const;
  uint32_t vocabulary_size() const;  // added tokens included
  // -1 when there is none.
  int64_t TokenToId(std::string_view token) const;

 private:
  explicit Tokenizer(void* handle) : handle_(handle) {}
  void* handle_;
};

// What a template printed, and the byte ranges of it, in order, that stand in {% generation %}
// blocks: what its author says that the assistant is to learn.
struct MarkedText {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generated;
};

// A Jinja chat template as transformers runs it (trim_blocks, lstrip_blocks, pycompat methods,
// raise_exception, strftime_now, tojson, {% generation %}). Execution is bounded in steps, output,
// memory and time; past a bound it is kInvalidArgument, as is all that is wrong with a template.
class ChatTemplate {
 public:
  static Result<std::shared_ptr<const ChatTemplate>> Parse(std::string_view source,
                                                           std::string_view bos_token,
                                                           std::string_view eos_token);
  ~ChatTemplate();
  // messages_json: array of {"role", "content", ...}; tools_json: array or empty.
  Result<std::string> Render(std::string_view messages_json, bool add_generation_prompt,
                             std::string_view tools_json = "") const;

  bool marks_generation() const { return marked_ != nullptr; }
  Result<MarkedText> RenderMarked(std::string_view messages_json,
                                  std::string_view tools_json = "") const;

 private:
  explicit ChatTemplate(void* handle) : handle_(handle) {}
  void* handle_;
  void* marked_ = nullptr;  // the template that marks, if it has {% generation %} blocks
};

// What a model folder says about text: tokenizer.json, tokenizer_config.json (special tokens, chat
// template; chat_template.jinja wins), config.json and generation_config.json (end tokens); or all
// of it from a GGUF file.
struct TextAssets {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // null when the model has none
  // As the tokenizer's configuration says, else by the ids in config.json or
  // generation_config.json; empty when the model has none.
  std::string bos_token, eos_token;
  std::vector<uint32_t> end_ids;  // any of them ends a generation
  std::string fingerprint;        // sha256 over tokenizer and template
  // The files as transformers expects them, to be written into exports: name -> content.
  std::vector<std::pair<std::string, std::string>> files;
};

// A folder with a tokenizer.json, a .gguf file, or a folder with one .gguf file and no
// tokenizer.json.
Result<TextAssets> LoadTextAssets(const std::filesystem::path& folder_or_gguf);

}  // namespace attune::text
