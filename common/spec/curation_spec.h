#pragma once

// Which examples of an import are left out or changed, as a person writes it, the section
// `curation` of an import spec:
//
//   near_duplicates: {action: remove, threshold: 0.8}
//   length: {min: 10, max: 20000}
//   languages: {keep: [en, de], unknown: keep}
//   patterns:
//     secrets: drop                 # a group of the built-in ones, or one of them
//     email: redact
//     ticket: {expression: 'TICKET-\d+', action: redact}   # one's own
//   contamination: {against: [exam@1], action: drop}
//
// Every key may be left out. CurationKeys documents them.

#include <functional>
#include <span>
#include <string>

#include "attune/v1/curation.pb.h"
#include "common/base/status.h"
#include "common/spec/key_table.h"
#include "common/yaml/reader.h"

namespace attune::spec {

// Reads what is there; what is wrong with it goes to the reader's problems. Names of patterns,
// expressions, languages and data sets are checked by the coordinator, which knows them.
void ReadCuration(yaml::Reader& reader, v1::CurationSpec* spec);

// wrong(path, message) for each field that cannot be followed; path as in the message
// ("near_duplicates.threshold", "patterns.email").
void CheckCuration(const v1::CurationSpec& spec,
                   const std::function<void(const std::string&, const std::string&)>& wrong);

// What is not set, as it is followed: near_duplicates together with 0.8, unknown languages kept,
// contaminated rows dropped.
void FillDefaults(v1::CurationSpec* spec);

// Their paths begin with "curation.".
std::span<const SpecKey> CurationKeys();

}  // namespace attune::spec
