#pragma once

// Jobs as a person reads them. Pure functions of the messages.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attune/v1/jobs.pb.h"
#include "common/base/clock.h"
#include "tools/cli/table.h"

namespace attune::cli {

bool IsFinal(v1::Job::State state);
std::string StateName(const v1::Job& job);
// "120000/200000 examples" and "ETA 20s"; without a rate the latter is empty.
std::string PreparedText(const v1::JobProgress& progress);
std::string EtaText(const v1::JobProgress& progress);

Table JobTable(const std::vector<v1::Job>& jobs, TimePoint now);

// What ends a training: "1 epoch", "40 steps", "3 epochs, at most 40 steps, at most 3600 s".
std::string LengthText(const v1::TrainSpec& train);

struct ViewOptions {
  TimePoint now;
  size_t width = 0;  // 0: no limit
  bool color = false;
};
std::string JobCard(const v1::Job& job, const ViewOptions& options);
std::string ExplanationCard(const v1::JobExplanation& explanation, const ViewOptions& options);
// A number of an object; 0 where it is none.
double NumberAt(const nlohmann::ordered_json& json, const char* key);
// The JSON object that a PLAN job writes.
std::string PlanCard(const nlohmann::ordered_json& plan, const v1::JobSpec& spec,
                     const ViewOptions& options);

// "key  value" lines, keys dim and padded to one width; a value of several lines is indented below
// its key.
class Card {
 public:
  explicit Card(const ViewOptions& options) : options_(options) {}
  void Title(const std::string& title);
  void Row(const std::string& key, const std::string& value,
           Style style = Style::kNone);  // skipped when empty
  void Text(const std::string& text);
  std::string Render() const;

 private:
  struct Line {
    std::string key, value;
    Style style = Style::kNone;
  };
  const ViewOptions options_;
  std::vector<Line> lines_;
};

}  // namespace attune::cli
