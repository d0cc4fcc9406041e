#include "common/yaml/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "common/base/files.h"
#include "common/yaml/parse_into.h"
#include "common/yaml/problems.h"

namespace attune::yaml {
namespace {

// Thrown by the builder, caught in ParseInto; never leaves this file.
struct Refused {
  YAML::Mark mark;
  std::string message;
};

// Builds the tree out of yaml-cpp's events.
class Builder : public YAML::EventHandler {
 public:
  Builder(const Source* source, Node* root) : source_(source), root_(root) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark, "a second document: one file holds one document"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Check(mark, "", anchor);
    Add(mark, Node::Kind::kNull, "", false);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark, "anchors and aliases (&, *) are not supported: write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Check(mark, tag, anchor);
    Add(mark, Node::Kind::kScalar, value, tag == "!");
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Check(mark, tag, anchor);
    Open(mark, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { stack_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Check(mark, tag, anchor);
    Open(mark, Node::Kind::kMap);
  }
  void OnMapEnd() override { stack_.pop_back(); }

 private:
  struct Level {
    Node* node;
    bool has_key = false;
    std::string key;
    Position key_position;
  };

  static void Check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      throw Refused{mark, "anchors and aliases (&, *) are not supported: write the value out"};
    }
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{mark, "tags such as '" + tag + "' are not supported: remove it"};
    }
  }

  Position At(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }

  Node* Add(const YAML::Mark& mark, Node::Kind kind, const std::string& scalar, bool quoted) {
    Node node;
    node.kind = kind;
    node.position = At(mark);
    node.scalar = scalar;
    node.quoted = quoted;
    if (stack_.empty()) {
      *root_ = std::move(node);
      return root_;
    }
    Level& level = stack_.back();
    if (level.node->kind == Node::Kind::kSequence) {
      return &level.node->items.emplace_back(std::move(node));
    }
    if (!level.has_key) {
      TakeKey(mark, &level, node);
      return nullptr;
    }
    level.has_key = false;
    level.node->entries.push_back({std::move(level.key), level.key_position, std::move(node)});
    return &level.node->entries.back().value;
  }

  void TakeKey(const YAML::Mark& mark, Level* level, const Node& node) const {
    if (node.kind != Node::Kind::kScalar) throw Refused{mark, "a key must be a plain word"};
    if (const Entry* first = level->node->Find(node.scalar)) {
      throw Refused{mark, "duplicate key '" + node.scalar + "': it is set on line " +
                              std::to_string(first->key_position.line) + " already"};
    }
    if (level->node->entries.size() >= kMaxKeys) {
      throw Refused{mark, "more than " + std::to_string(kMaxKeys) + " keys in one section"};
    }
    level->has_key = true;
    level->key = node.scalar;
    level->key_position = node.position;
  }

  // A node's address holds while its level is open: siblings are added only after it has been
  // closed.
  void Open(const YAML::Mark& mark, Node::Kind kind) {
    if (stack_.size() >= static_cast<size_t>(kMaxDepth)) {
      throw Refused{mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels"};
    }
    Node* node = Add(mark, kind, "", false);
    if (node == nullptr) throw Refused{mark, "a key must be a plain word"};
    stack_.push_back({node, false, "", {}});
  }

  const Source* const source_;
  Node* const root_;
  std::vector<Level> stack_;
  int documents_ = 0;
};

// The offset of the first byte that is not UTF-8 or is a control character, or npos.
size_t FirstBadByte(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    unsigned char c = text[i];
    size_t length = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f;
    if (length == 0 || c >= 0xf5 || control || i + length > text.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

Status CheckText(const Source& source) {
  if (source.text.size() > kMaxBytes) {
    return InvalidArgument(source.name + ": larger than 1 MiB, which no configuration needs");
  }
  size_t bad = FirstBadByte(source.text);
  if (bad == std::string_view::npos) return Status();
  int line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < bad; ++i) {
    if (source.text[i] == '\n') ++line, line_start = i + 1;
  }
  Problems problems;
  problems.Add({&source, line, static_cast<int>(bad - line_start) + 1}, "",
               "a byte that is not UTF-8 text; save the file as UTF-8");
  return problems.ToStatus();
}

}  // namespace

Status ParseInto(const Source* source, Node* root) {
  ATTUNE_RETURN_IF_ERROR(CheckText(*source));
  Problems problems;
  try {
    std::istringstream stream(source->text);
    YAML::Parser parser(stream);
    Builder builder(source, root);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    problems.Add({source, refused.mark.line + 1, refused.mark.column + 1}, "", refused.message);
  } catch (const YAML::Exception& error) {
    YAML::Mark mark = error.mark.is_null() ? YAML::Mark() : error.mark;
    problems.Add({source, mark.line + 1, mark.column + 1}, "", "not valid YAML: " + error.msg);
  } catch (const std::exception& error) {
    problems.Add({source, 1, 1}, "", std::string("not valid YAML: ") + error.what());
  }
  return problems.ToStatus();
}

Node ScalarNode(std::string text) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.scalar = std::move(text);
  return node;
}

const Entry* Node::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::string Node::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a section";
    case Kind::kScalar:
      break;
  }
  constexpr size_t kShown = 60;
  std::string shown = scalar.size() <= kShown ? scalar : scalar.substr(0, kShown) + "...";
  return (quoted ? "the string '" : "'") + shown + "'";
}

Result<Document> Parse(std::string text, std::string name) {
  Document document;
  document.sources_.push_back(std::make_unique<Source>(Source{std::move(name), std::move(text)}));
  const Source* source = document.sources_.front().get();
  document.root_.position = {source, 1, 1};
  ATTUNE_RETURN_IF_ERROR(ParseInto(source, &document.root_));
  return document;
}

Result<Document> ParseFile(const std::string& path) {
  auto text = ReadFile(path, kMaxBytes);
  if (!text.ok()) {
    if (text.status().code() == StatusCode::kInvalidArgument) {
      return InvalidArgument(path + ": larger than 1 MiB, which no configuration needs");
    }
    return text.status();
  }
  return Parse(std::move(*text), path);
}

}  // namespace attune::yaml
