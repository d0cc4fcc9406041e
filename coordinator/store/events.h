#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/store/database.h"

namespace attune {

// Events of one subject after a sequence, oldest first, at most limit. Throws soci_error.
std::vector<Event> ReadEvents(Transaction& transaction, const std::string& subject_kind,
                              const std::string& subject_id, int64_t after_sequence, int limit);

// The sequence of a subject's newest event that is not of a type; 0: there is none. Throws
// soci_error.
int64_t LastEvent(Transaction& transaction, const std::string& subject_kind,
                  const std::string& subject_id, const std::string& but_type);

// Forgets all but the newest keep events of one type of one subject: what repeats without end is a
// display of progress, not a record. Returns how many it forgot. Throws soci_error.
uint64_t PruneEvents(Transaction& transaction, const std::string& subject_kind,
                     const std::string& subject_id, const std::string& type, int keep);

}  // namespace attune
