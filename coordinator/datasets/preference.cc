#include "coordinator/datasets/preference.h"

#include <algorithm>
#include <optional>

#include "coordinator/datasets/messages.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr const char* kKeys[] = {"prompt", "chosen", "rejected"};

bool Has(const RowJson& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && !found->is_null();
}

// Nothing when the value is not the JSON text of a list of messages.
std::optional<RowJson> MessagesIn(const RowJson& value) {
  const std::string* text = value.get_ptr<const std::string*>();
  if (text == nullptr || text->find('[') == std::string::npos) return std::nullopt;
  Result<RowJson> list = ParseRowJson(*text, /*depth=*/1);
  if (!list.ok() || !list->is_array() || list->empty()) return std::nullopt;
  const bool messages = std::ranges::all_of(*list, [](const RowJson& message) {
    return message.is_object() && message.contains("role");
  });
  return messages ? std::optional(*std::move(list)) : std::nullopt;
}

struct Part {
  uint64_t characters = 0;
  bool says = false;
};

Result<Part> CheckPart(const RowJson& value, const char* key) {
  if (const std::string* text = value.get_ptr<const std::string*>()) {
    return Part{CountCodePoints(*text), !IsBlank(*text)};
  }
  ATTUNE_ASSIGN_OR_RETURN(const Conversation messages, CheckMessages(value, key));
  return Part{messages.characters, messages.says};
}

}  // namespace

bool IsPreference(const RowJson& row) {
  return Has(row, "chosen") && Has(row, "rejected") &&
         (Has(row, "prompt") || !Has(row, "instruction"));
}

bool IsPreferenceKey(const std::string& key) {
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

void ReadTablePreference(RowJson* row) {
  if (!Has(*row, "prompt")) row->erase("prompt");
  std::optional<RowJson> chosen = MessagesIn((*row)["chosen"]);
  std::optional<RowJson> rejected = MessagesIn((*row)["rejected"]);
  if (!chosen || !rejected) return;
  (*row)["chosen"] = *std::move(chosen);
  (*row)["rejected"] = *std::move(rejected);
  if (!row->contains("prompt")) return;
  std::optional<RowJson> prompt = MessagesIn((*row)["prompt"]);
  if (prompt) (*row)["prompt"] = *std::move(prompt);
}

Result<uint64_t> CheckPreference(const RowJson& row) {
  const bool texts = row["chosen"].is_string();
  uint64_t characters = 0;
  for (const char* key : kKeys) {
    const auto value = row.find(key);
    if (value == row.end()) continue;
    if (texts ? !value->is_string() : !value->is_array()) {
      return InvalidArgument(
          "prompt, chosen and rejected must be all texts or all lists of messages (a prompt that "
          "chosen and rejected begin with is to be left out)");
    }
    ATTUNE_ASSIGN_OR_RETURN(const Part part, CheckPart(*value, key));
    const bool prompt = value == row.find("prompt");
    if (!part.says && !prompt) return InvalidArgument(std::string(key) + " is empty");
    characters += part.characters;
  }
  if (DumpSortedRowJson(row["chosen"]) == DumpSortedRowJson(row["rejected"])) {
    return InvalidArgument("chosen and rejected are equal: nothing is preferred");
  }
  return characters;
}

}  // namespace attune::datasets
