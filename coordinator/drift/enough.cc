#include "coordinator/drift/enough.h"

#include "coordinator/drift/detect.h"
#include "coordinator/drift/embeddings.h"

namespace attune::drift {
namespace {

std::string TooFew(const std::string& whose, size_t count, const std::string& what, size_t least,
                   const std::string& feature) {
  return feature + ": the " + whose + " has " + std::to_string(count) + " " + what +
         (count == 1 ? "" : "s") + ", and fewer than " + std::to_string(least) +
         " are not compared";
}

}  // namespace

std::vector<std::string> NotCompared(const Sample& reference, const Sample& window) {
  std::vector<std::string> reasons;
  const auto need = [&](size_t of_reference, const std::string& what, size_t least,
                        size_t of_window, size_t window_least, const std::string& feature) {
    if (of_reference < least) {
      reasons.push_back(TooFew("reference", of_reference, what, least, feature));
    } else if (of_window < window_least) {
      reasons.push_back(TooFew("window", of_window, "example", window_least, feature));
    }
  };
  need(EmbeddedExamples(reference), "example", kEmbeddingsLeast, EmbeddedExamples(window),
       kEmbeddingsLeast, "embedding");
  need(reference.lengths.size(), "example", kExamplesLeast, window.lengths.size(), kExamplesLeast,
       "length, vocabulary");
  need(reference.losses.size(), "validation example", kHeldOutLeast, window.losses.size(),
       kExamplesLeast, "loss, entropy");
  // A stream without answers lacks nothing.
  if (!window.labelled_losses.empty()) {
    need(reference.labelled_losses.size(), "validation example", kHeldOutLeast,
         window.labelled_losses.size(), 1, "labelled loss");
  }
  return reasons;
}

}  // namespace attune::drift
