#include "coordinator/datasets/instruction.h"

#include <algorithm>

#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr const char* kKeys[] = {"instruction", "input", "output"};

// "" for what is not there.
Result<std::string> TextAt(const RowJson& row, const char* key) {
  auto it = row.find(key);
  if (it == row.end() || it->is_null()) return std::string();
  if (it->is_string()) return it->get<std::string>();
  return InvalidArgument(std::string(key) + " must be a string");
}

RowJson MessageOf(const char* role, std::string content) {
  return {{"role", role}, {"content", std::move(content)}};
}

}  // namespace

bool IsInstructionKey(const std::string& key) {
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

Result<RowJson> FromInstruction(const RowJson& row) {
  ATTUNE_ASSIGN_OR_RETURN(std::string asked, TextAt(row, "instruction"));
  ATTUNE_ASSIGN_OR_RETURN(const std::string input, TextAt(row, "input"));
  ATTUNE_ASSIGN_OR_RETURN(std::string output, TextAt(row, "output"));
  if (IsBlank(asked)) return InvalidArgument("instruction is empty");
  if (!IsBlank(input)) asked += "\n\n" + input;
  RowJson messages = RowJson::array({MessageOf("user", std::move(asked))});
  if (!IsBlank(output)) messages.push_back(MessageOf("assistant", std::move(output)));
  return messages;
}

}  // namespace attune::datasets
