#pragma once

// Measuring a model: the part of the engine's public face that engine.h leaves out. As there, no
// torch, gRPC or protobuf, one task a call, and the same errors.

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// As MetricSpec, Suite and SmokePrompt of proto/attune/v1/evaluation.proto.
struct MetricOptions {
  std::string name;
  std::string pattern, schema, judge;
  std::vector<std::string> labels;
};
struct Suite {
  std::string name;
  DatasetFiles dataset;
  std::string split = "validation";
  int max_examples = 0;  // those with the lowest ids; 0: all
  std::vector<MetricOptions> metrics;
  std::vector<std::string> slices;
  int max_tokens = 128;
};
struct SmokePrompt {
  std::string prompt, must_match, must_not_match;
  int max_tokens = 128;
};
// How good an answer is, in [0, 1]. Its error ends the evaluation.
using Judge = std::function<Result<double>(const std::string& prompt, const std::string& reference,
                                           const std::string& answer)>;
struct EvaluateTask {
  ModelFiles model;
  std::vector<Suite> suites;
  std::vector<SmokePrompt> smoke;
  // With merge or a dtype the model is written first, as Export writes it, and what was written is
  // measured: run_directory/measured, removed at the end.
  bool merge = false;
  std::string dtype;
  std::filesystem::path run_directory;
  std::map<std::string, Judge> judges;  // by name
  int threads = 0;
  std::string device = "cpu";
};
// Reports lines as EvaluationLine of the same proto through OnOutput: examples suite by suite in
// order of id, answers to smoke prompts, and the artifact, last. Examples are tokenized as for
// training; what is longer than the model's positions, or 8192 tokens, is cut. Those that the chat
// template cannot take, preference pairs, and those that have nothing to predict are left out with
// a warning. Of an encoder the loss is that of its task (masked tokens, which follow from an
// example's id; embeddings against those of up to 31 other rows). Computes in float32; on a GPU in
// bfloat16 where the measured weights are of 16 bits.
Status Evaluate(const EvaluateTask& task, Observer& observer);

struct EmbedTask {
  ModelFiles model;
  DatasetFiles dataset;
  std::string split = "all";  // or "train", "validation"
  int max_examples = 0;       // those with the lowest ids; 0: all
  int max_tokens = 512;       // of each text
  int threads = 0;
  std::string device = "cpu";
};
// Reports a line as EmbedLine of the same proto through OnOutput for each row, in order of id. The
// text is what a row says in reading order, tokenized without chat template (special tokens as the
// tokenizer adds them). The model is the one given: of an adapter, its base with the adapter
// applied. Rows without a token are left out with a warning. Of an encoder there are no loss and
// entropy; with sentence-transformers' files (modules.json, sentence_bert_config.json) texts are
// cut and embeddings brought to unit length as they say. Computes as Evaluate does.
Status Embed(const EmbedTask& task, Observer& observer);

}  // namespace attune::engine
