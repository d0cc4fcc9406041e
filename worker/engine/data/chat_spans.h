#pragma once

// A conversation as the chat template prints it, and which bytes of that the assistant says.
// Private to this folder.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/text/text.h"

namespace attune::engine {

// Keeps the order of keys, which a template may print.
using ExampleJson = nlohmann::ordered_json;

struct Span {
  size_t begin, end;  // bytes of the text
};

struct RenderedChat {
  std::string text;
  std::vector<Span> said;
};

struct RenderedPair {
  std::string prompt;  // with the generation prompt
  std::string whole;
};

class ChatRenderer {
 public:
  // tools: a list, or null. Both outlive the renderer.
  ChatRenderer(const text::ChatTemplate& chat_template, const ExampleJson* tools);

  // Said is what {% generation %} blocks of the template print, as in transformers. Else each turn
  // of the assistant, with what ends it: from the rendering of what came before it, with the
  // generation prompt, to the rendering up to and with it, or where that has reasoning that the
  // whole leaves out, to where its rest ends there. find_said false: no spans.
  Result<RenderedChat> Chat(const ExampleJson& messages, bool find_said) const;

  Result<RenderedPair> Pair(const ExampleJson& prompt, const ExampleJson& completion) const;

 private:
  Result<std::string> Render(const ExampleJson& messages, bool add_generation_prompt) const;
  bool TakesParts(const ExampleJson& messages) const;
  Result<RenderedChat> Turns(const ExampleJson& messages, bool find_said) const;
  Result<size_t> BeginOfTurn(const std::string& whole, const ExampleJson& before) const;
  Result<size_t> EndOfTurn(const std::string& whole, size_t begin, const ExampleJson& until) const;

  const text::ChatTemplate& template_;
  const std::string tools_;
};

}  // namespace attune::engine
