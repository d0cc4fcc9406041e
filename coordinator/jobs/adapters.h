#pragma once

// The adapters that answer some of a GENERATE job's prompts, over the base that its model has or
// is.

#include "attune/v1/jobs.pb.h"
#include "attune/v1/models.pb.h"
#include "common/base/status.h"
#include "coordinator/jobs/ports.h"

namespace attune::jobs {

// Puts the version that is meant now in place of each name, as ResolveInputs does for the base:
// prompts that name the job's own model have no name any more. kInvalidArgument for what is no
// adapter of that base. model: that job->base() names.
Status PinAdapters(Artifacts& artifacts, const v1::ModelVersion& model, v1::Job* job);

}  // namespace attune::jobs
