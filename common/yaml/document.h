#pragma once

// A YAML text as a tree of nodes that know where they stand. A subset on purpose: one document,
// string keys, no anchors, aliases or tags, no key twice. So a hostile text cannot grow, and what a
// person reads is what the program sees.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::yaml {

// A text and the name that errors give it: a file's path, "--set".
struct Source {
  std::string name;
  std::string text;
};

struct Position {
  const Source* source = nullptr;  // lives as long as the document
  int line = 0;                    // from 1
  int column = 0;                  // from 1, in bytes; shown in characters
};

struct Entry;

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  Position position;
  std::string scalar;
  bool quoted = false;         // a quoted or block scalar: always a string
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a map, in the order of the text

  const Entry* Find(std::string_view key) const;
  // "a list", "a section", "nothing" or "'text'": what is there, for messages.
  std::string Describe() const;
};

// Text as a plain scalar, whatever YAML would make of its characters.
Node ScalarNode(std::string text);

struct Entry {
  std::string key;
  Position key_position;
  Node value;
};

inline constexpr size_t kMaxBytes = 1 << 20;
inline constexpr int kMaxDepth = 32;
inline constexpr size_t kMaxKeys = 4096;  // of one section

class Document {
 public:
  const Node& root() const { return root_; }
  const Source& source() const { return *sources_.front(); }

  // Replaces or adds the value at a dotted path, as `--set train.epochs=3` does. assignment is
  // "path=value", value any YAML; sections on the way are made. Errors: no '=', an empty path, a
  // value that is not YAML, a path through something that is no section.
  Status Set(std::string_view assignment);

 private:
  friend Result<Document> Parse(std::string text, std::string name);
  std::vector<std::unique_ptr<Source>> sources_;
  Node root_;
};

// kInvalidArgument, shown with position, for what is not YAML or not in the subset or over the
// limits. An empty text is a document whose root is null.
Result<Document> Parse(std::string text, std::string name);
// The same of a file; kNotFound when it is not there.
Result<Document> ParseFile(const std::string& path);

}  // namespace attune::yaml
