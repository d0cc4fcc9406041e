#pragma once

// Tokenizing dataset versions into token shards, once per tokenizer, and opening what was
// tokenized. No torch here. `Prepare` itself is declared in worker/engine/engine.h.
//
// The cache has a token file for each shard of a dataset version (token_cache.h), so that versions
// share the tokens of the shards that they share. Any number of processes may prepare at once: each
// makes shards that no other works on, and what one that dies has finished stays. Of the files only
// pages in use are in memory; an example that is open takes 8 bytes, 24 where datasets are mixed.

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/engine.h"
#include "worker/text/text.h"

namespace attune::engine {

// All datasets of a task as one. Neither shard is null; validation may be empty.
struct PreparedData {
  std::shared_ptr<const TokenShard> train;       // by weight and share (mix.h)
  std::shared_ptr<const TokenShard> validation;  // every dataset once, whatever its weight
  // What is not to be forgotten: the training examples, each once, of the datasets that have a
  // share; of all where none has.
  std::shared_ptr<const TokenShard> old;
  PrepareResult counts;
  // sha256 over the datasets' keys and how much of each there is, with the seed where some of it is
  // drawn: equal keys, equal data.
  std::string key;
  bool drawn = false;  // some of train
};

struct Work;  // dataset_work.h

// Prepare, and what is there then. work: of the task.
Result<PreparedData> PrepareWork(const PrepareTask& task, const Work& work, Observer& observer);

// kInvalidArgument unless a sequence fits into as many positions as the base leaves to tokens.
Status CheckSequenceLength(int64_t length, int64_t positions, const std::string& base,
                           int virtual_tokens = 0);

// What an earlier Prepare with the same task made; kNotFound when some of it is not there (any
// more), kDataLoss when it is damaged: another Prepare mends both.
Result<PreparedData> OpenPrepared(const PrepareTask& task);

// What is cut, dropped and left out, in words; empty when nothing is.
std::vector<std::string> DataWarnings(const PrepareResult& counts, const TrainOptions& train);

// Tokenizer, template and special tokens of a model. An adapter's own files win over its base's.
Result<text::TextAssets> LoadModelText(const ModelFiles& model);
// What stands in place of a token that is to be found. kInvalidArgument when there is none.
Result<int64_t> MaskToken(const text::TextAssets& text, const std::string& model);

// The model below all adapters.
Result<const ModelFiles*> RootModel(const ModelFiles& model);

// The number of rows of the embedding, from config.json or the GGUF file.
Result<int64_t> ModelVocabularySize(const ModelFiles& model);

}  // namespace attune::engine
