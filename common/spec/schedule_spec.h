#pragma once

// From a person's YAML to a ScheduleSpec that says everything, and whether one that came over the
// wire does so. Cron expressions and time zones are checked by the coordinator.

#include <filesystem>
#include <functional>
#include <string>

#include "attune/v1/schedules.pb.h"
#include "common/base/status.h"

namespace attune::spec {

// Reads a file that a spec names (the job, a JSON schema); paths are relative to the spec's folder.
using ReadText = std::function<Result<std::string>(const std::filesystem::path& path)>;

// Defaults that `attune model evaluate` shares: how sure a bound is, and of each suite at most so
// many examples.
inline constexpr double kConfidence = 0.95;
inline constexpr uint32_t kSuiteExamples = 1000;

// Parses, fills in every default, validates. name is what errors call the text, and its folder
// where paths in it begin. Errors: kInvalidArgument with file:line:column, the line, a caret and
// the fix, all that is wrong at once; field() is the first wrong key's path ("trigger.jitter",
// "job.base").
Result<v1::ScheduleSpec> ParseScheduleSpec(std::string text, const std::string& name,
                                           const ReadText& read);

// kInvalidArgument with field() set to the key's path unless every field is there, in its range,
// and consistent with the others. What ParseScheduleSpec returns passes.
Status ValidateScheduleSpec(const v1::ScheduleSpec& spec);

// The spec in the YAML form, the job inline, so that ParseScheduleSpec of it gives the same spec.
std::string ToYaml(const v1::ScheduleSpec& spec);

// An error of the coordinator about a spec, shown where its field stands in the text.
Status ShowInText(const Status& error, std::string text, const std::string& name);

// A retention's data set that stands for what the champion was last trained on.
inline constexpr const char* kChampionData = "@champion";

// The name that people write for a metric: "validation_loss" for "loss", else the same.
std::string MetricName(const std::string& name);

}  // namespace attune::spec
