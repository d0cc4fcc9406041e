#pragma once

// Lists of messages and of tools, as chat templates take them: which roles and further keys mean
// something is for the template to say.

#include <optional>
#include <string>

#include "common/base/status.h"
#include "coordinator/datasets/row_json.h"

namespace attune::datasets {

struct Conversation {
  uint64_t characters = 0;  // Unicode code points of contents and tool calls
  bool says = false;        // some message has content or calls a tool
  bool answers = false;     // a message of the assistant does
};

// A message is {"role": string, "content": string or list of {"type": "text", "text": string},
// ...}; content may be null or absent beside tool_calls. `name` is for errors ("messages[2].role
// ...").
Result<Conversation> CheckMessages(const RowJson& messages, const std::string& name);

// Rows that spell messages {"from": ..., "value": ...} (ShareGPT), in role and content: what trl's
// maybe_convert_to_chatml does. The names human and gpt become user and assistant, which templates
// know.
RowJson FromConversations(const RowJson& conversations);

// A list of objects, or the JSON text of one, as tables have it; nothing when null or blank.
Result<std::optional<RowJson>> ReadTools(const RowJson& tools);

}  // namespace attune::datasets
