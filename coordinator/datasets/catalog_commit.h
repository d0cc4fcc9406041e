#pragma once

// How a version that was written becomes one of the catalog's. Private to this folder.

#include <string>

#include "common/base/status.h"
#include "coordinator/datasets/version_writer.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/folder.h"
#include "coordinator/versions/table.h"

namespace attune::datasets {

versions::Table DatasetTable();

Result<v1::DatasetVersion> ParseRecord(const std::string& record);

// "95 train and 5 validation examples, 2 rows rejected, 1 duplicates".
std::string Summary(const v1::DatasetVersion& report);

// "name@version".
std::string ReferenceOf(const v1::DatasetVersion& version);

// What the version's split was made by; records from before it was kept have the default's.
double ValidationFractionOf(const v1::DatasetVersion& version);

// Writes the manifest and commits the folder as the next version of name. request.event is what the
// event log says.
Result<v1::DatasetVersion> CommitVersion(Database* database,
                                         const versions::TemporaryFolder& folder,
                                         const std::string& name,
                                         const versions::CommitRequest& request, Imported imported);

}  // namespace attune::datasets
