#pragma once

// The one table of the job spec's keys. Parsing, defaults, validation, `attune job explain` and
// docs/job-spec.md all follow from it. A key's path is also its path in the JobSpec message; only
// `dataset` (the repeated field datasets) and the short forms in job_spec.cc are written by hand.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/job_spec.pb.h"
#include "common/yaml/value.h"

namespace attune::spec {

struct Field {
  std::string_view path;  // "train.epochs"
  std::string_view type;  // for people: "whole number"
  // The default: YAML text, or what derives a scalar, or a list's YAML text, from the fields above
  // it in the table; an empty text stays unset. Neither: required.
  std::string_view fallback;
  std::string (*derive)(const v1::JobSpec&) = nullptr;
  std::string_view default_doc;     // of a derived default
  yaml::Range range;                // of numbers
  std::vector<std::string> values;  // of a string; empty: any
  // Specs of before there was the key lack it and mean the default: an unset value of it is sound.
  bool may_lack = false;
  // True where the key means something; null: always.
  bool (*applies)(const v1::JobSpec&) = nullptr;
  std::string_view applies_key;  // what decides it: "method.type"
  std::string_view applies_doc;  // "with method.type lora or qlora"
  std::string_view doc;          // a sentence or two

  bool required() const { return fallback.empty() && derive == nullptr; }
};

// So many epochs are as good as no limit, where a run ends by its steps or tokens.
inline constexpr double kEpochsMost = 10000;

// In the order in which a person would write them; sections are contiguous.
std::span<const Field> Schema();
const Field* FindField(std::string_view path);
// Keys at the top and below a section ("" and "train"), without their prefix.
std::vector<std::string> KeysOf(std::string_view section);
bool IsSection(std::string_view path);
std::string_view SectionDoc(std::string_view section);

}  // namespace attune::spec
