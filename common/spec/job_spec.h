#pragma once

// From a person's YAML to a JobSpec that says everything, and whether a JobSpec that came over the
// wire does so.

#include <string>
#include <vector>

#include "attune/v1/job_spec.pb.h"
#include "common/base/status.h"
#include "common/yaml/document.h"

namespace attune::spec {

// Parses, applies overrides ("train.epochs=3", as in --set), fills in every default, validates.
// name is what errors call the text. Errors: kInvalidArgument with file:line:column, the line, a
// caret and the fix, all that is wrong at once; field() is the first wrong key's path.
Result<v1::JobSpec> ParseJobSpec(std::string text, std::string name,
                                 const std::vector<std::string>& overrides = {});

// The same of a section of a parsed document.
Result<v1::JobSpec> ParseJobSpec(const yaml::Node& root);

// kInvalidArgument with field() set to the key's path ("train.epochs") unless every field is there,
// in its range, and consistent with the others. What ParseJobSpec returns passes.
Status ValidateJobSpec(const v1::JobSpec& spec);

// True for "name", "name@3" and "name@alias".
bool IsReference(const std::string& reference);

// The spec in the YAML form, so that ParseJobSpec of it gives the same spec.
std::string ToYaml(const v1::JobSpec& spec);

}  // namespace attune::spec
