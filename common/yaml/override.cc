// Document::Set: one value of a document replaced from the command line.

#include <algorithm>

#include "common/yaml/document.h"
#include "common/yaml/parse_into.h"
#include "common/yaml/problems.h"

namespace attune::yaml {
namespace {

Status OneProblem(const Position& position, const std::string& field, const std::string& message) {
  Problems problems;
  problems.Add(position, field, message);
  return problems.ToStatus();
}

// Positions point into source from now on.
void Relocate(Node* node, const Source* source) {
  node->position.source = source;
  for (Node& item : node->items) Relocate(&item, source);
  for (Entry& entry : node->entries) {
    entry.key_position.source = source;
    Relocate(&entry.value, source);
  }
}

// One key of a dotted path.
struct Step {
  std::string key;
  Position position;
};

std::vector<Step> SplitPath(const std::string& path, const Source* source) {
  std::vector<Step> steps;
  for (size_t start = 0; start <= path.size();) {
    size_t dot = std::min(path.find('.', start), path.size());
    steps.push_back({path.substr(start, dot - start), {source, 1, static_cast<int>(start) + 1}});
    start = dot + 1;
  }
  return steps;
}

// Whether the path can be set, before anything is.
Status CheckSteps(const Node& root, const std::vector<Step>& steps, const std::string& path) {
  if (steps.size() > static_cast<size_t>(kMaxDepth)) {
    return OneProblem(steps.front().position, path, "nested deeper than 32 levels");
  }
  for (const Step& step : steps) {
    if (step.key.empty()) {
      return OneProblem(step.position, path, "an empty key: write it as section.key=value");
    }
  }
  const Node* at = &root;
  std::string walked;
  for (const Step& step : steps) {
    if (at->kind == Node::Kind::kNull) return Status();
    if (at->kind != Node::Kind::kMap) {
      return OneProblem(
          step.position, path,
          "'" + walked + "' is " + at->Describe() + ", so it has no key '" + step.key + "'");
    }
    const Entry* entry = at->Find(step.key);
    if (entry == nullptr) return Status();
    at = &entry->value;
    walked += (walked.empty() ? "" : ".") + step.key;
  }
  return Status();
}

// The node at the path, made with the sections above it where it was not there.
Node* Reach(Node* root, const std::vector<Step>& steps) {
  Node* at = root;
  for (const Step& step : steps) {
    at->kind = Node::Kind::kMap;
    auto entry = std::find_if(at->entries.begin(), at->entries.end(),
                              [&](const Entry& other) { return other.key == step.key; });
    if (entry == at->entries.end()) {
      at->entries.push_back({step.key, step.position, Node{}});
      entry = at->entries.end() - 1;
      entry->value.position = step.position;
    }
    entry->key_position = step.position;
    at = &entry->value;
  }
  return at;
}

}  // namespace

Status Document::Set(std::string_view assignment) {
  auto source = std::make_unique<Source>(Source{"--set", std::string(assignment)});
  size_t equals = assignment.find('=');
  std::string path(assignment.substr(0, equals));
  if (equals == std::string_view::npos) {
    return OneProblem({source.get(), 1, 1}, path, "write it as key=value");
  }
  // The value keeps its column: the key before it is blanked out.
  Source blanked{"--set",
                 std::string(equals + 1, ' ') + std::string(assignment.substr(equals + 1))};
  Node value;
  if (Status status = ParseInto(&blanked, &value); !status.ok()) {
    return InvalidArgument("--set " + path + ": the value is not valid YAML: " +
                           std::string(assignment.substr(equals + 1)))
        .WithField(path);
  }
  Relocate(&value, source.get());
  if (value.kind == Node::Kind::kNull) {
    value.position = {source.get(), 1, static_cast<int>(equals) + 2};
  }
  const std::vector<Step> steps = SplitPath(path, source.get());
  ATTUNE_RETURN_IF_ERROR(CheckSteps(root_, steps, path));
  *Reach(&root_, steps) = std::move(value);
  sources_.push_back(std::move(source));
  return Status();
}

}  // namespace attune::yaml
