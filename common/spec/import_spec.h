#pragma once

// How the files of an import are read and curated, as a person writes it:
//
//   format: csv                     # else each file's own is recognised
//   delimiter: tab                  # of CSV; else told by each file's header row
//   mapping:
//     prompt: "{context}\n\n{question}"
//     completion: answer
//   curation: ...                   # common/spec/curation_spec.h
//
// Every key may be left out. common/spec/import_keys.cc documents them.

#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"

namespace attune::spec {

// Parses and validates. name is what errors call the text. Errors: kInvalidArgument with
// file:line:column, the line, a caret and the fix, all that is wrong at once; field() is the first
// wrong key's path.
Result<v1::ImportSpec> ParseImportSpec(std::string text, std::string name);

// kInvalidArgument with field() set ("spec.mapping.prompt") unless it can be followed. What
// ParseImportSpec returns passes.
Status ValidateImportSpec(const v1::ImportSpec& spec);

// "prompt=question" into the mapping, in place of what it says of prompt. kInvalidArgument without
// a '='.
Status SetMapping(const std::string& assignment, v1::ImportSpec* spec);

// The keys of a row that are one shape together, in the order in which they are written.
struct RowShape {
  std::string_view name;
  std::vector<std::string_view> keys;
};
// The shape that a mapping makes: the one that has all the keys it maps, metadata's apart; null
// when it maps metadata alone. Of a valid spec.
const RowShape* ShapeOf(const v1::ImportSpec& spec);

// What a key is mapped to, in parts: the name of a column without braces; with braces a text whose
// columns stand in them ("{{" and "}}" are braces). kInvalidArgument for braces that do not match.
struct MappingPart {
  bool column = false;
  std::string text;
};
Result<std::vector<MappingPart>> ParseMapping(std::string_view value);

}  // namespace attune::spec
