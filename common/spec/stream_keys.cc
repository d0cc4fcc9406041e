#include "common/spec/stream_keys.h"

#include <vector>

namespace attune::spec {
namespace {

const std::vector<SpecKey>& Table() {
  static const auto* table = new std::vector<SpecKey>{
      {"name", "string", "",
       "Name of the stream, and of the data set that its windows become: lower-case letters, "
       "digits, '.', '_' and '-'."},
      {"model", "NAME@ALIAS", "",
       "The model that answers. A window and its reference are measured by the version that the "
       "alias points at when the window's turn comes; its training data is the reference."},
      {"reference", "data set", "what the model was trained on",
       "A data set in its place, NAME or NAME@VERSION; needed where the model's data is not known. "
       "Retraining does not move it, so live data that has moved stays drifted."},
      {"folders", "list of paths", "none",
       "Watched for *.jsonl, each read once: folders as the coordinator sees them, relative to "
       "this file, or s3://BUCKET/PREFIX. `attune drift observe` adds rows as well."},
      {"categories", "list of strings", "none",
       "Keys of the rows' metadata whose shares of values are watched."},
      {"window.examples", "whole number", "500",
       "A window closes with so many rows, 10 to 100000,"},
      {"window.time", "duration", "1d", "or after so long, if it has examples_min."},
      {"window.examples_min", "whole number", "50",
       "One with fewer distinct examples is a data set version, but is not measured. At most "
       "window.examples, which it is if that is less than 50."},
      {"window.validation_fraction", "number", "0.1",
       "Of its rows with an answer, by hash: never trained on, so that losses can be compared."},
      {"alarm.false_alarms_per_week", "number", "0.05",
       "How often all detectors together may raise an alarm without a drift, on average."},
      {"alarm.persistence", "whole number", "2",
       "Drifted windows in a row that make an alarm, 1 to 20."},
      {"alarm.auc", "number", "0.6",
       "Least effect of embeddings that counts: how well live examples are told from the "
       "reference's, 0.5 (not at all) to 1."},
      {"alarm.psi", "number", "0.2", "Of categories: the population stability index."},
      {"alarm.length", "number", "0.1",
       "Of lengths: relative change; 0.1: a tenth longer or shorter."},
      {"alarm.vocabulary", "number", "0.05",
       "Of words: Jensen-Shannon distance, 0 to 1; 0.05: about a fifth of the examples are of new "
       "topics."},
      {"alarm.loss", "number", "0.05",
       "Of the model's loss and entropy: relative increase of the mean over the reference's "
       "validation examples."},
      {"alarm.quality", "number", "alarm.loss of the reference's",
       "Of the loss of examples with an answer: increase in nats a token, of the whole text."},
  };
  return *table;
}

}  // namespace

std::span<const SpecKey> StreamKeys() {
  return Table();
}

std::string StreamMarkdown() {
  return "# The stream spec\n\n"
         "<!-- Generated from common/spec/stream_keys.cc by `attune drift explain`; do not edit. "
         "-->\n\n"
         "A stream is a YAML file: `attune drift apply FILE`. Every key, its default and what it "
         "means; `configs/streams/` has\none. Required are `name` and `model`:\n\n"
         "```yaml\nname: live-docs\nmodel: docstrings@champion\n```\n\n"
         "Durations are written 250ms, 10s, 5m, 6h or 2d. docs/streams.md says what a stream does, "
         "docs/drift.md by which\ntests. An effect below its least is no drift, however "
         "certain.\n" +
         KeyTables(Table());
}

}  // namespace attune::spec
