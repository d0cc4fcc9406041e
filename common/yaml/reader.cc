#include "common/yaml/reader.h"

#include <algorithm>

#include "common/yaml/nearest.h"

namespace attune::yaml {

Reader::Reader(const Document& document)
    : own_problems_(std::make_unique<Problems>()),
      problems_(own_problems_.get()),
      node_(&document.root()) {
  if (node_->kind != Node::Kind::kMap && node_->kind != Node::Kind::kNull) {
    problems_->Add(node_->position, "",
                   "the file must hold keys and values, not " + node_->Describe());
  }
}

Reader::Reader(const Node* node, std::string path, Problems* problems)
    : problems_(problems), node_(node), path_(std::move(path)) {}

std::string Reader::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const Node* Reader::Find(std::string_view key) {
  known_.emplace_back(key);
  const Entry* entry = node_->Find(key);
  return entry == nullptr ? nullptr : &entry->value;
}

std::vector<std::string> Reader::Keys() const {
  std::vector<std::string> keys;
  for (const Entry& entry : node_->entries) keys.push_back(entry.key);
  return keys;
}

void Reader::Fail(std::string_view key, const std::string& message) {
  const Entry* entry = node_->Find(key);
  problems_->Add(entry == nullptr ? node_->position : entry->value.position, PathOf(key), message);
}

bool Reader::Read(std::string_view key, bool required, const ConvertFunction& convert) {
  const Node* value = Find(key);
  if (value == nullptr) {
    if (required) Fail(key, "missing key '" + PathOf(key) + "', which is required");
    return false;
  }
  std::string wrong = convert(*value);
  if (wrong.empty()) return true;
  Fail(key, PathOf(key) + " must be " + wrong);
  return false;
}

bool Reader::Section(std::string_view key, const std::function<void(Reader&)>& read) {
  const Node* value = Find(key);
  if (value == nullptr) return false;
  if (value->kind != Node::Kind::kMap && value->kind != Node::Kind::kNull) {
    Fail(key, PathOf(key) + " must be a section of keys and values, not " + value->Describe());
    return false;
  }
  Reader section(value, PathOf(key), problems_);
  read(section);
  section.RefuseUnknownKeys();
  return true;
}

bool Reader::Sections(std::string_view key, const std::function<void(Reader&)>& read) {
  const Node* value = Find(key);
  if (value == nullptr) return false;
  if (value->kind != Node::Kind::kSequence) {
    Fail(key, PathOf(key) + " must be a list of sections, not " + value->Describe());
    return false;
  }
  for (size_t i = 0; i < value->items.size(); ++i) {
    const Node& item = value->items[i];
    std::string path = PathOf(key) + "[" + std::to_string(i) + "]";
    if (item.kind != Node::Kind::kMap) {
      problems_->Add(item.position, path, path + " must be a section, not " + item.Describe());
      continue;
    }
    Reader section(&item, path, problems_);
    read(section);
    section.RefuseUnknownKeys();
  }
  return true;
}

void Reader::RefuseUnknownKeys() {
  for (const Entry& entry : node_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    std::string message = "unknown key '" + entry.key + "'";
    if (!path_.empty()) message += " in " + path_;
    std::string nearest = Nearest(entry.key, known_);
    if (!nearest.empty()) message += "; did you mean '" + nearest + "'?";
    problems_->Add(entry.key_position, PathOf(entry.key), message);
  }
}

Status Reader::Finish() {
  RefuseUnknownKeys();
  return problems_->ToStatus();
}

}  // namespace attune::yaml
