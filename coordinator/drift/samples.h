#pragma once

// From an EMBED job's lines and the rows of what it embedded to what the detectors compare.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "coordinator/drift/detect.h"

namespace attune::drift {

// More examples of a window, or of a reference, are not measured: those with the lowest ids are, a
// random sample, as an id is a hash.
inline constexpr uint32_t kExamplesMeasured = 2000;

using TakeLine = std::function<Status(std::string_view line)>;
// Calls take for each line of something, and returns the first error.
using ForEachLine = std::function<Status(const TakeLine& take)>;

// Builds a sample out of parts (data sets), each with its lines and its rows.
class SampleBuilder {
 public:
  // categories: metadata keys that are counted.
  explicit SampleBuilder(std::vector<std::string> categories)
      : categories_(std::move(categories)) {}

  // lines: of the EMBED job. rows: of the data set that it embedded. held_out: calls with the ids
  // of examples that nothing was trained on, whose losses alone are kept; null: all. An example of
  // an earlier part counts once. kDataLoss for lines that are none, or embeddings of two sizes.
  Status Add(const ForEachLine& lines, const ForEachLine& rows, const ForEachLine& held_out = {});

  // kDataLoss when there was not one example.
  Result<Sample> Finish();

 private:
  struct Loss {
    double loss, entropy;
    bool held_out;
  };
  Status AddLine(std::string_view line, bool held_out);
  Status AddRow(std::string_view line);

  const std::vector<std::string> categories_;
  Sample sample_;
  std::map<std::string, size_t> index_;  // of an id in sample_
  size_t part_begin_ = 0;
  std::vector<Loss> losses_;
};

}  // namespace attune::drift
