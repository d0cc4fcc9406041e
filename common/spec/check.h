#pragma once

#include <functional>
#include <string>

#include "attune/v1/job_spec.pb.h"
#include "common/spec/schema.h"

namespace attune::spec {

// Of a data set's part of an epoch.
inline constexpr double kShareMin = 1e-6, kShareMax = 0.999;

// A place in a message: where the schema's path leads.
struct Place {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
};
// The path must be of the schema and not `dataset`.
Place Resolve(v1::JobSpec* spec, std::string_view path);
// Whether nothing was said there: an empty list, text or number 0.
bool IsUnset(const Place& place);

// Calls wrong(path, message) for everything in a full spec that is out of range or does not fit
// together.
void CheckJobSpec(const v1::JobSpec& spec,
                  const std::function<void(const std::string&, const std::string&)>& wrong);

}  // namespace attune::spec
