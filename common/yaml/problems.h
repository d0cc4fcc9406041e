#pragma once

// What is wrong with a text, all of it at once, as a person wants to read it:
//
//   job.yaml:12:3: unknown key 'epoch' in train; did you mean 'epochs'?
//      12 |   epoch: 3
//         |   ^~~~~

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/yaml/document.h"

namespace attune::yaml {

class Problems {
 public:
  // field: the dotted path of what is wrong ("train.epochs"), empty when no field is.
  void Add(const Position& position, std::string field, const std::string& message);

  bool empty() const { return count_ == 0; }
  // OK, or kInvalidArgument with the first ten and the first one's field.
  Status ToStatus() const;

 private:
  static constexpr size_t kShown = 10;
  std::vector<std::string> shown_;
  std::string field_;
  size_t count_ = 0;
};

}  // namespace attune::yaml
