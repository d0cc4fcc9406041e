// model promote, rollback, unalias, aliases, history.

#include <algorithm>

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"

namespace attune::cli {
namespace {

constexpr uint32_t kPage = 200;

std::string NameOf(const v1::Alias& alias) {
  return alias.model() + "@" + alias.alias();
}

std::string VersionText(uint32_t version) {
  return version == 0 ? "-" : std::to_string(version);
}

void PrintMoved(Session& session, const v1::Alias& alias) {
  const v1::AliasMove& last = alias.last();
  Card card({.now = session.io().clock->Now(),
             .width = session.printer().width(),
             .color = session.printer().color()});
  card.Title(NameOf(alias));
  card.Row("Version", VersionText(alias.version()));
  card.Row("Moved from", VersionText(last.from_version()));
  card.Row("Before", VersionText(alias.before()));
  card.Row("Since", FormatLocalTime(alias.since()));
  card.Row("By", last.actor() + " (" + last.kind() + ")");
  card.Row("Reason", last.reason());
  card.Row("Evidence", last.evidence());
  session.printer().Object(spec::ToJson(alias), NameOf(alias), card.Render());
}

Style StyleOfMove(const std::string& kind) {
  return kind == "set" ? Style::kGreen : Style::kYellow;
}

}  // namespace

Result<int> RunModelPromote(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::SetAliasRequest request;
  request.set_request_id(NewId("req"));
  request.set_model(arguments.Get("MODEL"));
  request.set_alias(arguments.Get("--alias"));
  request.set_reason(arguments.Get("--reason"));
  request.set_evidence(arguments.Get("--evidence"));
  if (arguments.Has("--expect")) {
    request.set_expected_version(static_cast<uint32_t>(arguments.Whole("--expect")));
  }
  ATTUNE_ASSIGN_OR_RETURN(
      v1::Alias alias, client->Call(client->models(), &v1::ModelService::Stub::SetAlias, request));
  PrintMoved(session, alias);
  return kExitOk;
}

Result<int> RunModelRollback(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::RollBackAliasRequest request;
  request.set_request_id(NewId("req"));
  request.set_model(arguments.Get("NAME"));
  request.set_alias(arguments.Get("--alias"));
  request.set_reason(arguments.Get("--reason"));
  request.set_evidence(arguments.Get("--evidence"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::Alias alias,
      client->Call(client->models(), &v1::ModelService::Stub::RollBackAlias, request));
  PrintMoved(session, alias);
  return kExitOk;
}

Result<int> RunModelUnalias(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::DeleteAliasRequest request;
  request.set_request_id(NewId("req"));
  request.set_model(arguments.Get("NAME"));
  request.set_alias(arguments.Get("ALIAS"));
  request.set_reason(arguments.Get("--reason"));
  ATTUNE_RETURN_IF_ERROR(
      client->Call(client->models(), &v1::ModelService::Stub::DeleteAlias, request).status());
  const std::string name = request.model() + "@" + request.alias();
  session.printer().Object({{"model", request.model()}, {"alias", request.alias()}}, name,
                           name + " is deleted; its history stays\n");
  return kExitOk;
}

Result<int> RunModelAliases(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListAliasesRequest request;
  request.set_model(arguments.Get("NAME"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::ListAliasesResponse response,
      client->Call(client->models(), &v1::ModelService::Stub::ListAliases, request));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{.header = "ALIAS", .shrinks = true},
               {.header = "VERSION", .right = true},
               {.header = "BEFORE", .right = true, .optional = true},
               {.header = "SINCE", .right = true},
               {.header = "BY", .shrinks = true, .optional = true},
               {.header = "REASON", .shrinks = true, .optional = true}});
  for (const v1::Alias& alias : response.aliases()) {
    items.push_back(spec::ToJson(alias));
    names.push_back(NameOf(alias));
    const v1::AliasMove& last = alias.last();
    table.Add({NameOf(alias), VersionText(alias.version()), VersionText(alias.before()),
               FormatAge(alias.since(), session.io().clock->Now()), last.actor(), last.reason()});
  }
  session.printer().List(items, names, table,
                         "no aliases yet; set one with `attune model promote MODEL`");
  return kExitOk;
}

Result<int> RunModelHistory(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListAliasMovesRequest request;
  request.set_model(arguments.Get("NAME"));
  request.set_alias(arguments.Get("--alias"));
  const size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{.header = "TIME"},
               {.header = "ALIAS"},
               {.header = "MOVE"},
               {.header = "FROM", .right = true},
               {.header = "TO", .right = true},
               {.header = "BY", .shrinks = true, .optional = true},
               {.header = "REASON", .shrinks = true, .optional = true},
               {.header = "EVIDENCE", .shrinks = true, .optional = true}});
  for (bool more = true; more && items.size() < limit;) {
    request.set_page_size(static_cast<uint32_t>(std::min<size_t>(kPage, limit - items.size())));
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListAliasMovesResponse page,
        client->Call(client->models(), &v1::ModelService::Stub::ListAliasMoves, request));
    for (const v1::AliasMove& move : page.moves()) {
      if (items.size() >= limit) break;
      items.push_back(spec::ToJson(move));
      names.push_back(std::to_string(move.sequence()));
      table.Add({FormatLocalTime(move.time()),
                 move.alias(),
                 {move.kind(), StyleOfMove(move.kind())},
                 VersionText(move.from_version()),
                 VersionText(move.to_version()),
                 move.actor(),
                 move.reason(),
                 move.evidence()});
      request.set_before(move.sequence());
    }
    more = page.more() && page.moves_size() > 0;
  }
  session.printer().List(items, names, table, "no alias of the model was ever moved");
  return kExitOk;
}

}  // namespace attune::cli
