#pragma once

// Whether a candidate may be promoted: a pure function of recorded facts, so that the daemon and
// `attune model gates --facts` come to the same verdict from the same bytes.

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

// kInvalidArgument for a spec or facts that do not fit together (a metric without scores, a suite
// that is not there). Sets all but job_ids, facts_checksum and facts_path. Deterministic: equal
// facts, equal bytes of the report.
Result<v1::GateReport> Decide(const v1::GateFacts& facts);

}  // namespace attune::gates
