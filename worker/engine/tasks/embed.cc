#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "common/base/files.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/data/row_parts.h"
#include "worker/engine/data/sample_rows.h"
#include "worker/engine/eval/measure.h"
#include "worker/engine/evaluation.h"
#include "worker/engine/parallel/group.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kPoolingBytesMax = 1 << 20;

static_assert(std::endian::native == std::endian::little, "embeddings are little endian");

Status CheckTask(const EmbedTask& task) {
  if (task.split != "all" && task.split != "train" && task.split != "validation") {
    return InvalidArgument("split must be train, validation or all, not '" + task.split + "'");
  }
  if (task.max_tokens < 1) return InvalidArgument("max_tokens must be at least 1");
  return Status();
}

// How a model takes a text: a decoder predicts all tokens but the first, for an encoder-decoder it
// is a source. An encoder's ends with a special token, which it keeps when it is cut.
struct TextUse {
  size_t tokens_max = 0;
  bool keeps_end = false, predicts = false;
};
TextUse UseOf(const LanguageModel& model, int64_t tokens_max) {
  const bool decodes = model.predicts_next() && !model.reads_sources();
  return {static_cast<size_t>(tokens_max), !decodes, decodes};
}

Result<TokenizedExample> Tokenize(const text::TextAssets& assets, const SampledRow& row,
                                  const TextUse& use) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadingText(row.line));
  ATTUNE_ASSIGN_OR_RETURN(auto encoded, assets.tokenizer->EncodeBatch({text}, true, 1));
  TokenizedExample example;
  example.tokens = std::move(encoded[0]);
  example.truncated = example.tokens.size() > use.tokens_max;
  if (example.truncated) {
    const uint32_t end = example.tokens.back();
    example.tokens.resize(use.tokens_max);
    if (use.keeps_end) example.tokens.back() = end;
  }
  example.targets.assign(example.tokens.size(), use.predicts ? 1 : 0);
  if (!example.targets.empty()) example.targets[0] = 0;
  return example;
}

// What sentence-transformers' files beside a model ask for; nothing where there are none.
struct Pooling {
  bool normalize = false;
  int64_t tokens_max = std::numeric_limits<int64_t>::max();
};

Result<Json> ReadBeside(const std::filesystem::path& folder, const char* name) {
  const auto text = ReadFile(folder / name, kPoolingBytesMax);
  if (text.status().code() == StatusCode::kNotFound) return Json();
  if (!text.ok()) return text.status();
  return Json::parse(*text, nullptr, /*allow_exceptions=*/false);
}

Result<Pooling> ReadPooling(const std::filesystem::path& folder) {
  Pooling pooling;
  ATTUNE_ASSIGN_OR_RETURN(const Json modules, ReadBeside(folder, "modules.json"));
  for (const Json& module : modules.is_array() ? modules : Json::array()) {
    const Json type = module.is_object() ? module.value("type", Json()) : Json();
    pooling.normalize |= type.is_string() && type.get<std::string>().ends_with(".Normalize");
  }
  ATTUNE_ASSIGN_OR_RETURN(const Json sentences, ReadBeside(folder, "sentence_bert_config.json"));
  const Json most = sentences.is_object() ? sentences.value("max_seq_length", Json()) : Json();
  if (most.is_number_unsigned()) {
    const uint64_t tokens = std::min<uint64_t>(most.get<uint64_t>(), INT64_MAX);
    pooling.tokens_max = std::max<int64_t>(1, static_cast<int64_t>(tokens));
  }
  return pooling;
}

void Normalize(std::vector<float>* embedding) {
  double squares = 0;
  for (const float value : *embedding) squares += static_cast<double>(value) * value;
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& value : *embedding) value = static_cast<float>(value / length);
}

std::string Line(const SampledRow& row, const MeasuredExample& measured) {
  std::string bytes(measured.embedding.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), measured.embedding.data(), bytes.size());
  Json line = {{"id", row.id}, {"tokens", measured.tokens}};
  if (measured.predicted) {
    line["loss"] =
        measured.targets > 0 ? measured.loss_sum / static_cast<double>(measured.targets) : 0;
    line["entropy"] = measured.entropy;
  }
  line["embedding"] = Base64(bytes);
  return line.dump();
}

Status EmbedRows(const EmbedTask& task, LanguageModel& model, const text::TextAssets& assets,
                 const at::Device& device, const std::vector<SampledRow>& rows,
                 Observer& observer) {
  const auto proceed = [&]() -> Status {
    if (observer.ShouldStop() == StopRequest::kNone) return Status();
    return Cancelled("stopped while embedding");
  };
  Pooling pooling;
  if (!model.predicts_next()) {
    ATTUNE_ASSIGN_OR_RETURN(pooling, ReadPooling(RootOf(task.model).path));
  }
  const TextUse use =
      UseOf(model, std::min({int64_t{task.max_tokens}, model.max_positions(), pooling.tokens_max}));
  std::vector<const SampledRow*> group;
  std::vector<TokenizedExample> examples;
  int64_t tokens = 0;
  size_t empty = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, Tokenize(assets, rows[i], use));
    if (example.tokens.empty()) {
      ++empty;
    } else {
      tokens += static_cast<int64_t>(example.tokens.size());
      group.push_back(&rows[i]);
      examples.push_back(std::move(example));
    }
    if (i + 1 < rows.size() && tokens < kTokensAPass) continue;
    ATTUNE_ASSIGN_OR_RETURN(
        std::vector<MeasuredExample> measured,
        MeasureExamples(model, std::exchange(examples, {}), /*every_row=*/true, device, proceed));
    for (size_t k = 0; k < group.size(); ++k) {
      if (pooling.normalize) Normalize(&measured[k].embedding);
      observer.OnOutput(Line(*group[k], measured[k]));
    }
    group.clear();
    tokens = 0;
    observer.OnProgress({.phase = "embedding",
                         .done = static_cast<double>(i + 1),
                         .total = static_cast<double>(rows.size())});
  }
  if (empty > 0) {
    observer.OnWarning(std::to_string(empty) + " of " + std::to_string(rows.size()) + " rows of " +
                       task.dataset.reference + " have no text and are left out");
  }
  return Status();
}

}  // namespace

Status Embed(const EmbedTask& task, Observer& observer) {
  ATTUNE_RETURN_IF_ERROR(CheckTask(task));
  return Guarded([&]() -> Status {
    if (task.threads > 0) at::set_num_threads(task.threads);
    observer.OnProgress({.phase = "loading"});
    std::vector<std::string> splits;
    if (task.split != "all") splits = {task.split};
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<SampledRow> rows,
                            SampleRows(task.dataset, splits, task.max_examples));
    if (rows.empty()) {
      return InvalidArgument("the split " + task.split + " of " + task.dataset.reference +
                             " has no row");
    }
    ATTUNE_ASSIGN_OR_RETURN(const at::Device device, OpenDevice(task.device));
    ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets assets, LoadModelText(task.model));
    ATTUNE_ASSIGN_OR_RETURN(const std::string precision,
                            ServedPrecision(task.model, device.is_cuda()));
    ATTUNE_ASSIGN_OR_RETURN(
        const std::unique_ptr<LanguageModel> model,
        LanguageModel::Load(
            task.model,
            {.precision = precision, .device = device.str(), .frozen = true, .encoders = true}));
    model->SetTraining(false, 0);
    return EmbedRows(task, *model, assets, device, rows, observer);
  });
}

}  // namespace attune::engine
