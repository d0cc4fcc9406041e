#pragma once

// What each objective takes of a base, and of the room in a sequence.

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "common/model/model_config.h"
#include "worker/engine/engine.h"

namespace attune::engine {

enum class ObjectiveKind {
  kCausalLm,
  kSeq2seq,
  kMaskedLm,
  kClassification,
  kEmbedding,
  kPreference,
};

// Of one that was resolved.
ObjectiveKind KindOf(const Objective& objective);

// The objective with what it leaves to the base: its type, a classifier's labels. kInvalidArgument
// when the base cannot learn it. config: null for a GGUF file, which is a decoder.
Result<Objective> ResolveObjective(Objective objective, const ModelConfig* config,
                                   const std::string& base);
// The same, of the configuration in the base's folder.
Result<Objective> ResolveObjective(Objective objective, const ModelFiles& base);

// Tokens that an example may have at most where each of its texts has up to sequence_length: what a
// planned sequence holds.
int SequenceCapacity(ObjectiveKind kind, int sequence_length);

// Whether examples end in what teaches a model to stop.
inline bool TeachesAnswers(ObjectiveKind kind) {
  return kind == ObjectiveKind::kCausalLm || kind == ObjectiveKind::kSeq2seq;
}

}  // namespace attune::engine
