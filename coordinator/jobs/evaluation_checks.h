#pragma once

// Whether EVALUATE and EMBED can be done as they are asked for: all that can be said before a slot
// is taken. Pure.

#include "attune/v1/datasets.pb.h"
#include "attune/v1/evaluation.pb.h"
#include "common/base/status.h"

namespace attune::jobs {

// kInvalidArgument with the field.
Status CheckEvaluate(const v1::EvaluateRequest& request);
Status CheckEmbed(const v1::EmbedRequest& request);

// Splits are filled in by now. Whether the version has what the suite, or the embedding, is to
// read.
Status CheckSuiteData(const v1::Suite& suite, const v1::DatasetVersion& version);
Status CheckEmbedData(const v1::EmbedRequest& request, const v1::DatasetVersion& version);

}  // namespace attune::jobs
