#pragma once

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

// kInvalidArgument with the field, in the words of the YAML form, for gates that cannot be decided:
// a metric or confidence that is none, a goal without a bound, a skill twice, no gate at all.
Status CheckSpec(const v1::GatesSpec& spec);

}  // namespace attune::gates
