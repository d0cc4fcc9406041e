#include "coordinator/drift/text.h"

#include <nlohmann/json.hpp>

#include "coordinator/datasets/row_json.h"

namespace attune::drift {
namespace {

using datasets::RowJson;

void AppendText(const std::string& part, std::string* text) {
  if (part.empty()) return;
  if (!text->empty()) *text += '\n';
  *text += part;
}

// A text, a list of parts with a text each, or a list of messages.
void AppendContent(const RowJson& content, std::string* text) {
  if (content.is_string()) return AppendText(content.get_ref<const std::string&>(), text);
  if (!content.is_array()) return;
  for (const RowJson& item : content) {
    if (!item.is_object()) continue;
    for (const char* key : {"content", "text"}) {
      auto found = item.find(key);
      if (found != item.end()) AppendContent(*found, text);
    }
  }
}

}  // namespace

bool IsLabelled(const datasets::Row& row) {
  return row.kind != datasets::RowKind::kPrompt;
}

Result<RowFacts> ReadShardLine(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(RowJson row, datasets::ParseRowJson(line));
  RowFacts facts;
  const std::string* id = row.is_object() ? datasets::StringAt(row, "id") : nullptr;
  if (id == nullptr) return DataLoss("a shard's line has no id");
  facts.id = *id;
  const std::string* kind = datasets::StringAt(row, "kind");
  facts.labelled = kind == nullptr || *kind != "prompt";
  for (const char* key : {"messages", "prompt", "completion", "text", "chosen", "rejected"}) {
    auto found = row.find(key);
    if (found != row.end()) AppendContent(*found, &facts.text);
  }
  auto metadata = row.find("metadata");
  if (metadata != row.end() && metadata->is_object()) {
    for (const auto& [key, value] : metadata->items()) {
      if (value.is_string()) facts.metadata[key] = value.get<std::string>();
    }
  }
  return facts;
}

}  // namespace attune::drift
