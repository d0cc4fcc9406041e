#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace attune::curation {

// What a row says, as one text: by which near-duplicates, contamination and the language are told.
// Prompt and completion, the text, prompt, chosen and rejected, or what the messages say and the
// tools they call, joined by line feeds; nothing that all rows of a data set have in common as a
// rule (system messages, the list of tools). content: as Row::content.
std::string ReadingText(const nlohmann::ordered_json& content);

}  // namespace attune::curation
