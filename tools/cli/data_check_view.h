#pragma once

// What `attune dataset check` shows of a PLAN job's JSON object. Pure functions.

#include <nlohmann/json.hpp>
#include <string>

#include "attune/v1/job_spec.pb.h"
#include "tools/cli/job_view.h"

namespace attune::cli {

// samples: so many examples with what is learned of them: in colour, or between ⟦ and ⟧.
std::string DataCheckCard(const nlohmann::ordered_json& plan, const v1::JobSpec& spec, int samples,
                          const ViewOptions& options);

// Whether a job with such data is refused.
bool HasProblem(const nlohmann::ordered_json& plan);

}  // namespace attune::cli
