#include "common/gates/facts.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace attune::gates {

std::string SerializeFacts(const v1::GateFacts& facts) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  ATTUNE_CHECK(facts.SerializeToCodedStream(&coded));
  coded.Trim();
  return bytes;
}

Result<v1::GateFacts> ParseFacts(std::string_view bytes) {
  if (bytes.size() > kMaxFactsBytes) return InvalidArgument("gate facts are at most 1.5 GB");
  v1::GateFacts facts;
  if (!facts.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      facts.candidate().model().empty()) {
    return InvalidArgument(
        "not the facts of a verdict: `attune model gates MODEL --save FILE` writes them");
  }
  return facts;
}

}  // namespace attune::gates
