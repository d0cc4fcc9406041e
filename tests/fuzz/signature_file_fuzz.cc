// Any bytes are the signatures of a shard or refused; so are lines of findings. Any text has a
// signature, equal to that of the same text.

#include <span>
#include <string>

#include "coordinator/curation/findings.h"
#include "coordinator/curation/signature_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::curation;
  static const std::string shard(64, 'a');
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  attune::Result<std::span<const Signature>> signatures = ParseSignatureFile(bytes, shard);
  if (signatures.ok()) ATTUNE_CHECK(signatures->size_bytes() < size);
  const std::string text(reinterpret_cast<const char*>(data), size);
  attune::Result<Finding> finding = ParseFinding(text);
  if (finding.ok()) ATTUNE_CHECK(!finding->reason.empty() && !finding->action.empty());
  const Signature signature = SignatureOf(text);
  ATTUNE_CHECK(Similarity(signature, signature) == 1);
  ATTUNE_CHECK(SignatureOf(text + " ") == signature || Shingles(text) != Shingles(text + " "));
  return 0;
}
