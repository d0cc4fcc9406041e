#pragma once

// Private to observations: what a batch holds until it is committed.

#include "common/base/write_all.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/sources/line_reader.h"
#include "coordinator/drift/appender.h"
#include "coordinator/drift/observations.h"

namespace attune::drift {

struct Batch::State {
  State(ObservationStore* s, StreamRecord r, std::string id, uint64_t most,
        datasets::LineReader::Handler handler)
      : store(s),
        stream(std::move(r)),
        request_id(std::move(id)),
        bytes_max(most),
        lines(datasets::kLineBytesMax, std::move(handler)) {}

  Status Flush() {
    ATTUNE_RETURN_IF_ERROR(WriteAll(staged.file.fd(), buffer, "write " + staged.path.string()));
    buffer.clear();
    return Status();
  }

  ObservationStore* const store;
  const StreamRecord stream;
  const std::string request_id;
  const uint64_t bytes_max;
  StagedRows staged;  // those that can be used
  datasets::LineReader lines;
  std::string file, buffer;
  v1::ObserveResponse response;
};

// The first reasons why rows were rejected: ": FILE:LINE: reason; ...".
std::string Reasons(const v1::ObserveResponse& response);

}  // namespace attune::drift
