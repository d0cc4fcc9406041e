#include "common/spec/import_keys.h"

#include <vector>

#include "common/spec/curation_spec.h"

namespace attune::spec {
namespace {

const std::vector<SpecKey>& Table() {
  static const auto* table = new std::vector<SpecKey>{
      {"format", "string", "what each file begins with",
       "jsonl, csv or parquet, of all files. gzip and zstd are recognised in any case."},
      {"delimiter", "string", "what splits the header row into the most columns",
       "comma, tab, semicolon or pipe, of all CSV files."},
      {"mapping.messages", "column", "as it stands",
       "The conversation: a list of messages, or the JSON text of one."},
      {"mapping.conversations", "column", "as it stands",
       "The same as ShareGPT writes it, with `from` and `value`."},
      {"mapping.tools", "column", "as it stands",
       "The tools of the messages, of prompt and completion, or of a preference pair."},
      {"mapping.prompt", "column or text", "as it stands",
       "What is given: a column, or a text with columns in braces."},
      {"mapping.completion", "column or text", "as it stands", "What is learned after it."},
      {"mapping.chosen", "column or text", "as it stands",
       "Of a preference pair (with `prompt`, where it has one): the better answer,"},
      {"mapping.rejected", "column or text", "as it stands", "and the worse one."},
      {"mapping.instruction", "column or text", "as it stands",
       "What the user says in a conversation of two turns,"},
      {"mapping.input", "column or text", "as it stands", "with this below it,"},
      {"mapping.output", "column or text", "as it stands", "and what the assistant answers."},
      {"mapping.text", "column or text", "as it stands", "A text, all of which is learned."},
      {"mapping.source", "column or text", "as it stands",
       "Metadata, like `mapping.language`, `mapping.tenant`, `mapping.timestamp` and "
       "`mapping.label`."},
  };
  return *table;
}

std::vector<SpecKey> WithCuration() {
  std::vector<SpecKey> keys = Table();
  const std::span<const SpecKey> curation = CurationKeys();
  keys.insert(keys.end(), curation.begin(), curation.end());
  return keys;
}

}  // namespace

std::span<const SpecKey> ImportKeys() {
  static const auto* keys = new std::vector<SpecKey>(WithCuration());
  return *keys;
}

std::string ImportMarkdown() {
  return "# The import spec\n\n"
         "<!-- Generated from common/spec/import_keys.cc by `attune dataset explain`; do not edit. "
         "-->\n\n"
         "How the files of an import are read and curated, as a YAML file: `attune dataset import "
         "NAME "
         "FILES... "
         "--spec FILE`. No key is\nrequired, and without a spec all of it is recognised; "
         "docs/datasets.md says how. `configs/imports/` has one.\n`--format` and `--map "
         "KEY=COLUMN` "
         "win over the spec.\n\n"
         "```yaml\nmapping:\n  prompt: \"{context}\\n\\n{question}\"\n  completion: answer\n```\n\n"
         "What a mapping makes is one shape: `messages`, `conversations`, `prompt` and "
         "`completion`, `prompt`, `chosen` and\n`rejected`, `instruction`, `input` and `output`, "
         "or `text`. Keys of that shape that are not mapped are taken as they stand,\nand so is "
         "metadata; other columns are ignored. A row without a column that is mapped is rejected. "
         "A text takes strings,\nnumbers and booleans; a null is empty. A brace itself is written "
         "twice.\n" +
         KeyTables(ImportKeys());
}

}  // namespace attune::spec
