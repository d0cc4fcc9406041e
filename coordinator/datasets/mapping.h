#pragma once

// What an import spec says of a row's keys, done to rows.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "common/spec/import_spec.h"
#include "coordinator/datasets/row_json.h"

namespace attune::datasets {

// Immutable; any number of threads may use it.
class Mapping {
 public:
  Mapping() = default;
  // kInvalidArgument for a spec that ValidateImportSpec refuses.
  static Result<Mapping> Make(const v1::ImportSpec& spec);

  // Maps nothing: rows stay as they are.
  bool empty() const { return values_.empty(); }

  // The row that the mapping makes of this one: the keys of its shape, mapped or as they stand, and
  // metadata. Adds the names of columns that were used for neither to ignored. Errors
  // (kInvalidArgument) say what is wrong with the row in words for its author: a column that is
  // not there (with those that are), or that has a list where a text is made.
  Result<RowJson> Apply(const RowJson& row, std::vector<std::string>* ignored) const;

 private:
  using Parts = std::vector<spec::MappingPart>;
  bool Uses(const std::string& column) const;

  const spec::RowShape* shape_ = nullptr;  // null: of metadata alone
  std::map<std::string, Parts, std::less<>> values_;
};

}  // namespace attune::datasets
