// Any bytes are a job spec or an error; a spec that parses is valid, and its YAML form parses to
// the same.

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/spec/job_spec.h"
#include "common/spec/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  auto spec = attune::spec::ParseJobSpec(text, "fuzz.yaml");
  if (spec.ok()) {
    ATTUNE_CHECK(attune::spec::ValidateJobSpec(*spec).ok());
    auto again = attune::spec::ParseJobSpec(attune::spec::ToYaml(*spec), "again.yaml");
    ATTUNE_CHECK(again.ok());
    ATTUNE_CHECK(attune::spec::ToJsonText(*again) == attune::spec::ToJsonText(*spec));
  }
  attune::v1::JobSpec wire;
  if (wire.ParseFromArray(data, static_cast<int>(size))) (void)attune::spec::ValidateJobSpec(wire);
  return 0;
}
