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

bool IsMessageOf(const RowJson& message, const char* role) {
  const std::string* has = message.is_object() ? StringAt(message, "role") : nullptr;
  return has != nullptr && *has == role;
}

// Whether the first of the user's messages is this text.
bool AsksFirst(const RowJson& messages, const std::string& text) {
  const auto asked = std::ranges::find_if(
      messages, [](const RowJson& message) { return IsMessageOf(message, "user"); });
  const std::string* content = asked != messages.end() ? StringAt(*asked, "content") : nullptr;
  return content != nullptr && *content == text;
}

// Whether a message of the user may stand before them: none of them is one, nor goes before one.
bool OnlyAnswers(const RowJson& messages) {
  return std::ranges::none_of(messages, [](const RowJson& message) {
    return IsMessageOf(message, "user") || IsMessageOf(message, "system");
  });
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

void PlacePrompt(RowJson* row) {
  const std::string* prompt = StringAt(*row, "prompt");
  const RowJson &chosen = (*row)["chosen"], &rejected = (*row)["rejected"];
  if (prompt == nullptr || !chosen.is_array() || !rejected.is_array()) return;
  if (IsBlank(*prompt) || (AsksFirst(chosen, *prompt) && AsksFirst(rejected, *prompt))) {
    row->erase("prompt");
  } else if (OnlyAnswers(chosen) && OnlyAnswers(rejected)) {
    (*row)["prompt"] = RowJson::array({{{"role", "user"}, {"content", *prompt}}});
  }
}

Result<uint64_t> CheckPreference(const RowJson& row) {
  const bool texts = row["chosen"].is_string();
  uint64_t characters = 0;
  for (const char* key : kKeys) {
    const auto value = row.find(key);
    if (value == row.end()) continue;
    if (texts ? !value->is_string() : !value->is_array()) {
      return InvalidArgument(
          "prompt, chosen and rejected must be all texts or all lists of messages (beside lists a "
          "prompt may be a text if both ask it first, or neither asks anything)");
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
