#pragma once

// What people ask about aliases: each mutation is one transaction with its answer, and the same
// request id again returns the first answer. actor: as AliasChange has it. Errors: as MoveAlias.

#include <string>

#include "attune/v1/models.pb.h"
#include "common/base/status.h"

namespace attune {
class Database;
}

namespace attune::models {

// kInvalidArgument for a model without a version or alias: which is the newest may change any time.
Result<v1::Alias> SetAlias(Database* database, const v1::SetAliasRequest& request,
                           const std::string& actor);
Result<v1::Alias> RollBackAlias(Database* database, const v1::RollBackAliasRequest& request,
                                const std::string& actor);
Result<v1::DeleteAliasResponse> DeleteAlias(Database* database,
                                            const v1::DeleteAliasRequest& request,
                                            const std::string& actor);
// kNotFound for a model that is not there.
Result<v1::ListAliasesResponse> ListAliases(Database* database,
                                            const v1::ListAliasesRequest& request);
Result<v1::ListAliasMovesResponse> ListAliasMoves(Database* database,
                                                  const v1::ListAliasMovesRequest& request);

}  // namespace attune::models
