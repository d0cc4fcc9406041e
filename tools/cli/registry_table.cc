// The command table's part about aliases, retention and what is recorded of a model.

#include "tools/cli/handlers.h"

namespace attune::cli {
namespace {

const Parameter kVersion{.name = "MODEL",
                         .doc = "NAME@VERSION or NAME@ALIAS.",
                         .required = true,
                         .completes = Completes::kModel};
const Parameter kAnyModel{.name = "MODEL",
                          .doc = "NAME (newest version), NAME@VERSION or NAME@ALIAS.",
                          .required = true,
                          .completes = Completes::kModel};
const Parameter kName{
    .name = "NAME", .doc = "A model's name.", .required = true, .completes = Completes::kModelName};
const Parameter kAlias{.name = "--alias",
                       .value = "ALIAS",
                       .doc = "A letter, then a-z, 0-9, _ and -.",
                       .completes = Completes::kAlias,
                       .fallback = "champion"};
const Parameter kReason{
    .name = "--reason", .value = "TEXT", .doc = "Why; kept in the alias's history."};
const Parameter kEvidence{
    .name = "--evidence",
    .value = "TEXT",
    .doc = "What it rests on, such as an update's id or a link; kept as well."};

void AddMoves(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "model",
       .verb = "promote",
       .summary = "point an alias at a version",
       .details = "NAME@ALIAS then means that version wherever a model is named; a job that is "
                  "submitted keeps the version it found. Needs the role promoter "
                  "(docs/operations.md). Pointing it where it is changes nothing.",
       .arguments = {kVersion},
       .options = {kAlias,
                   kReason,
                   kEvidence,
                   {.name = "--expect",
                    .value = "VERSION",
                    .doc = "Only if the alias points at this version now; 0: if there is none.",
                    .type = ValueType::kWhole}},
       .examples = {"attune model promote docstrings@1 --reason 'the first that is good enough'",
                    "attune model promote docstrings@1 --alias shadow --expect 0"},
       .run = RunModelPromote});
  commands->push_back(
      {.noun = "model",
       .verb = "rollback",
       .summary = "point an alias back at the version before",
       .details = "Takes back the last promotion that is not taken back yet: after 1, 2 and 3 were "
                  "promoted, to 2 and then to 1. Needs the role promoter.",
       .arguments = {kName},
       .options = {kAlias, kReason, kEvidence},
       .run = RunModelRollback});
  commands->push_back(
      {.noun = "model",
       .verb = "unalias",
       .summary = "delete an alias",
       .details = "Its history stays, but there is no way back over it. Needs the role promoter.",
       .arguments = {kName,
                     {.name = "ALIAS",
                      .doc = "The alias.",
                      .required = true,
                      .completes = Completes::kAlias}},
       .options = {kReason},
       .examples = {"attune model unalias docstrings shadow --reason 'measured long enough'"},
       .run = RunModelUnalias});
}

void AddViews(std::vector<Command>* commands) {
  Parameter optional_name = kName;
  optional_name.required = false;
  optional_name.doc = "Only of this model.";
  Parameter any_alias = kAlias;
  any_alias.fallback = "";
  any_alias.doc = "Only of this alias.";
  commands->push_back({.noun = "model",
                       .verb = "aliases",
                       .summary = "list aliases and where they point",
                       .arguments = {optional_name},
                       .examples = {"attune model aliases", "attune model aliases docstrings"},
                       .run = RunModelAliases});
  commands->push_back({.noun = "model",
                       .verb = "history",
                       .summary = "list who moved a model's aliases, when and why, newest first",
                       .arguments = {kName},
                       .options = {any_alias,
                                   {.name = "--limit",
                                    .value = "N",
                                    .doc = "At most so many.",
                                    .type = ValueType::kWhole,
                                    .fallback = "1000"}},
                       .examples = {"attune model history docstrings --alias champion"},
                       .run = RunModelHistory});
  commands->push_back(
      {.noun = "model",
       .verb = "lineage",
       .summary = "show what a version came from, back to what was imported",
       .details = "Each version with its job, the schedule's update, its data sets with their "
                  "checksums and what those were made of, and the code that made it.",
       .arguments = {kAnyModel},
       .examples = {"attune model lineage docstrings"},
       .run = RunModelLineage});
  commands->push_back(
      {.noun = "model",
       .verb = "card",
       .summary = "print a version's model card",
       .details = "Markdown, from what is recorded: origin, data, settings, metrics, what the "
                  "gates said, aliases, how to use it.",
       .arguments = {kAnyModel},
       .examples = {"attune model card docstrings > README.md"},
       .run = RunModelCard});
}

}  // namespace

void AddRegistryCommands(std::vector<Command>* commands) {
  AddMoves(commands);
  AddViews(commands);
  commands->push_back(
      {.noun = "model",
       .verb = "prune",
       .summary = "remove files of versions that nothing needs",
       .details =
           "Keeps the newest, what an alias points at or can be rolled back to, what open jobs and "
           "updates work on, and what a kept version is an adapter of or was trained from; says "
           "for each why. What is known of a removed version stays: it is listed with "
           "--all-versions, has its lineage and its card, but no job can use it. Needs the role "
           "promoter.",
       .arguments = {kName},
       .options = {{.name = "--keep",
                    .value = "N",
                    .doc = "The newest versions that stay anyway; must be given.",
                    .type = ValueType::kWhole},
                   {.name = "--rollback-steps",
                    .value = "N",
                    .doc = "Keep only so many steps of each alias's way back, and no version only "
                           "because a kept one was trained from it. Default: all.",
                    .type = ValueType::kWhole},
                   {.name = "--dry-run", .doc = "Remove nothing: say what would go."}},
       .examples = {"attune model prune docstrings --keep 3 --dry-run"},
       .run = RunModelPrune});
}

}  // namespace attune::cli
