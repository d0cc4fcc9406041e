#pragma once

// A stream of live data, as a person writes it:
//
//   name: live-docs
//   model: docstrings@champion
//   reference: stdlib-docs          # else what the model was trained on
//   window: {examples: 500, time: 1d, examples_min: 50, validation_fraction: 0.1}
//   folders: [/var/log/answers, s3://bucket/answers]   # watched; *.jsonl, each read once
//   categories: [language]          # keys of the rows' metadata
//   alarm: {false_alarms_per_week: 0.05, persistence: 2, psi: 0.2, auc: 0.6, length: 0.1,
//           vocabulary: 0.05, loss: 0.05}
//
// Only name and model are required.

#include <string>

#include "attune/v1/drift.pb.h"
#include "common/base/status.h"

namespace attune::spec {

// Sets what is not set (0): of the window, and of the alarm what docs/drift.md says.
void FillDefaults(v1::StreamSpec* spec);
void FillDefaults(v1::AlarmSpec* alarm);

// Parses, fills in every default, validates. name is what errors call the text; relative folders
// are taken from base_folder when it is given. Errors: kInvalidArgument with file:line:column, the
// line, a caret and the fix, all that is wrong at once; field() is the first wrong key's path.
Result<v1::StreamSpec> ParseStreamSpec(std::string text, std::string name,
                                       const std::string& base_folder = "");

// kInvalidArgument with field() set to the key's path unless every field is in its range and they
// fit together. What ParseStreamSpec returns passes.
Status ValidateStreamSpec(const v1::StreamSpec& spec);

// Whether a folder of a spec is an s3:// address, and no path.
bool IsBucket(const std::string& folder);

// The spec in the YAML form, so that ParseStreamSpec of it gives the same spec.
std::string ToYaml(const v1::StreamSpec& spec);

}  // namespace attune::spec
