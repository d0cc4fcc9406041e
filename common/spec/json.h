#pragma once

// A message as JSON by reflection: the proto's field names, 64-bit integers as numbers, enum values
// by name, timestamps as RFC 3339, values printed even when they are the default. An absent message
// field or an unset optional one is left out.

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

#include "attune/v1/job_spec.pb.h"

namespace attune::spec {

nlohmann::ordered_json ToJson(const google::protobuf::Message& message);
nlohmann::ordered_json FieldToJson(const google::protobuf::Message& message,
                                   const google::protobuf::FieldDescriptor* field);
// One line. Bytes that are not UTF-8 are replaced.
std::string ToJsonText(const google::protobuf::Message& message);
std::string JsonText(const nlohmann::ordered_json& json, int indent = -1);

// Seconds and nanoseconds since 1970 as "2026-11-24T18:06:24.123Z" (whole seconds without a
// fraction).
std::string FormatTimestamp(int64_t seconds, int32_t nanos);

}  // namespace attune::spec
