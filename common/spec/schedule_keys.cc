#include "common/spec/schedule_keys.h"

#include <vector>

namespace attune::spec {
namespace {

const std::vector<SpecKey>& Table() {
  static const auto* table = new std::vector<SpecKey>{
      {"name", "string", "", "Name of the schedule: lower-case letters, digits, '.', '_' and '-'."},
      {"job", "path, or a job spec", "",
       "What is trained (docs/job-spec.md): a file, relative to this one, or the spec itself. At "
       "each "
       "update `base` becomes the champion (see start_from), `dataset` the newest data, "
       "`train.seed` "
       "the update's number and `register.model` that of promote.model. Its `train.max_steps` "
       "bounds "
       "every update, however much data there is: leave it out unless that is meant."},
      {"start_from", "champion or base", "champion",
       "Each update trains from the champion's weights, or always from the job's `base`. Without a "
       "champion yet, from `base`."},
      {"trigger.cron", "string", "none",
       "When to retrain: five fields (minute, hour, day of the month, month, day of the week), or "
       "six with seconds first. A time that the clocks skip fires as they jump; one that they "
       "repeat "
       "fires once; with a star as minute or hour it goes by time that passes, as in vixie cron."},
      {"trigger.timezone", "string", "UTC", "IANA time zone of every cron expression here."},
      {"trigger.jitter", "duration", "0s",
       "Each slot starts up to this much later, by a hash of schedule and slot, so that many "
       "schedules of one hour do not start at once. Shorter than the time between any two slots."},
      {"trigger.drift", "true or false", "false",
       "Retrain on an alarm of the observed stream (`attune drift`)."},
      {"trigger.new_examples", "whole number", "0",
       "Retrain when so many trainable examples came since the last update; 0: never."},
      {"trigger.quality.live_loss_increase", "number", "0",
       "Retrain when the champion's loss on labelled live data (nats a token, of the whole text) "
       "is "
       "higher than in its own first windows, those that had the first 50 labelled examples, by "
       "so much, and 99 % sure that it is higher at all; 0: never."},
      {"data.observe", "string", "none",
       "The stream whose windows are trained on. Without one: the newest version of the job's data "
       "set."},
      {"data.replay[].dataset", "string", "",
       "A data set that is mixed in, so that what it taught is kept. One map or a list of them."},
      {"data.replay[].share", "number", "",
       "Its share of the examples of an epoch, above 0; all together below 1."},
      {"gates.goals[].min", "number", "none",
       "Goals are a map from metric to bounds: `validation_loss: {max: 2.2}`. They are measured on "
       "the validation split of the new data; with `data.observe` and fewer than 30 rows there, "
       "also "
       "on that of the job's first data set. Metrics: validation_loss (or loss), perplexity, "
       "exact_match, "
       "token_f1, rouge_l, regex, json_schema, judge, accuracy, macro_f1, calibration_error. A "
       "list "
       "of `{metric: ..., ...}` gives one metric several goals."},
      {"gates.goals[].max", "number", "none", "The other bound. One of the two is required."},
      {"gates.goals[].confidence", "number", "0.95",
       "That the bound is met, one-sided: a model that does not meet it passes 1 time in 20. 0: "
       "the "
       "estimate alone counts, however few the examples."},
      {"gates.goals[].slice", "{key: value}", "none",
       "Only examples whose metadata has this value."},
      {"gates.goals[].pattern", "string", "none", "Of regex: the whole answer must match (RE2)."},
      {"gates.goals[].schema", "path or schema", "none",
       "Of json_schema: a JSON Schema, or its file relative to this one."},
      {"gates.goals[].name", "string", "none",
       "Of judge: one that the workers' configuration names."},
      {"gates.goals[].labels", "list of strings", "none",
       "Of accuracy, macro_f1 and calibration_error: the completions to choose from."},
      {"gates.champion.required", "true or false", "true",
       "The candidate must not be worse than the champion by more than the margin."},
      {"gates.champion.metric", "metric", "validation_loss", "On the same examples as the goals."},
      {"gates.champion.margin", "number", "0",
       "How much worse it may be, in the metric's unit; below zero: it must be better by so much. "
       "0: "
       "it must be better, with that confidence; an equal one passes 1 time in 20. Give e.g. 0.02 "
       "to let equals pass."},
      {"gates.champion.confidence", "number", "0.95", "That it is not."},
      {"gates.retention[].name", "string", "the data set's name", "The skill that must be kept."},
      {"gates.retention[].dataset", "string", "",
       "What it is measured on. \"@champion\" stands for the data set that the champion was last "
       "trained on: what the newest data taught must not be lost to newer data."},
      {"gates.retention[].split", "validation or train", "validation",
       "Examples that were trained on are left out, whatever the split."},
      {"gates.retention[].metric", "metric", "validation_loss", "What is measured."},
      {"gates.retention[].budget", "number", "0.02",
       "How much worse than the champion it may become, in the metric's unit."},
      {"gates.retention[].confidence", "number", "0.95", "That it did not become worse by more."},
      {"gates.retention[].relative", "true or false", "false",
       "budget is a share of the champion's value."},
      {"gates.smoke[].prompt", "string", "", "A prompt whose answer must look right."},
      {"gates.smoke[].must_match", "string", "none",
       "RE2 that must be found in it; without, any answer that is not empty will do."},
      {"gates.smoke[].must_not_match", "string", "none", "RE2 that must not be found in it."},
      {"gates.smoke[].max_tokens", "whole number", "128", "Where the answer is cut off."},
      {"gates.limits.bytes", "size", "none", "Most bytes of the artifact: 500MB, 1GB."},
      {"gates.limits.first_token", "duration", "none", "Longest time to the first token."},
      {"gates.limits.tokens_per_second", "number", "0", "Least speed of generation."},
      {"gates.dtype", "string", "that of the weights",
       "Number format that is served: float32, bfloat16, float16. Weights are rounded to it before "
       "they are measured; the computation is as docs/gates.md says."},
      {"gates.slices", "list of strings", "none",
       "Keys of the rows' metadata by which results are shown as well."},
      {"gates.max_examples", "whole number", "1000", "Of each suite at most so many; 0: all."},
      {"gates.seed", "whole number", "1", "Of the bootstrap."},
      {"promote.model", "string", "the job's register.model", "Registry name of the candidates."},
      {"promote.alias", "string", "champion", "What is moved to a candidate that passed."},
      {"promote.manual", "true or false", "false",
       "Gates decide, but a person promotes: `attune model promote`."},
      {"promote.rollback.live_loss_increase", "number", "0.1",
       "Back to the old champion when the new one's loss on labelled live data (nats a token, of "
       "what is learned, as the gates measure it) is surely higher than the old one's on the same "
       "examples by more than that. Without the section nothing is watched."},
      {"promote.rollback.confidence", "number", "0.95", "That it is higher by more than that."},
      {"promote.rollback.windows", "whole number", "3",
       "How many windows after the promotion are watched, compared or not; the watch ends after 14 "
       "days at the latest."},
      {"limits.gpu_hours_per_week", "number", "0",
       "Slots times hours that the updates' jobs may take in seven days; 0: no limit."},
      {"limits.cool_down", "duration", "0s",
       "After the end of an update nothing starts for so long; one that was promoted counts from "
       "then, though it is still watched."},
      {"limits.overlap", "skip or queue", "skip",
       "A trigger while an update runs is dropped, or waits for its end."},
      {"limits.catch_up", "latest or none", "latest",
       "Of slots that passed while the coordinator was away, the latest fires once, or none does."},
      {"limits.blackouts[].cron", "string", "",
       "When a time begins in which nothing starts, in the trigger's time zone."},
      {"limits.blackouts[].for", "duration", "", "How long it is."},
  };
  return *table;
}

}  // namespace

std::span<const SpecKey> ScheduleKeys() {
  return Table();
}

std::string ScheduleMarkdown() {
  return "# The schedule spec\n\n"
         "<!-- Generated from common/spec/schedule_keys.cc by `attune schedule explain`; do not "
         "edit. "
         "-->\n\n"
         "A schedule is a YAML file: `attune schedule apply FILE`. Every key, its default and what "
         "it "
         "means; `[]` stands for\nan item. `configs/schedules/` has a whole one. Required are "
         "`name` "
         "and "
         "`job`:\n\n"
         "```yaml\nname: weekly\njob: job.yaml\ntrigger: {cron: \"0 3 * * MON\"}\n```\n\n"
         "Durations are written 250ms, 10s, 5m, 6h or 2d. A schedule without a trigger runs when a "
         "person asks for it\n(`attune schedule trigger NAME`).\n" +
         KeyTables(Table());
}

}  // namespace attune::spec
