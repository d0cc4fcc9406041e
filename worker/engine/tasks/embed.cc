#include <ATen/Parallel.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/base/base64.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/data/row_parts.h"
#include "worker/engine/data/sample_rows.h"
#include "worker/engine/evaluation.h"
#include "worker/engine/parallel/group.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/text_embedder.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "embeddings are little endian");

Status CheckTask(const EmbedTask& task) {
  if (task.split != "all" && task.split != "train" && task.split != "validation") {
    return InvalidArgument("split must be train, validation or all, not '" + task.split + "'");
  }
  if (task.max_tokens < 1) return InvalidArgument("max_tokens must be at least 1");
  return Status();
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

Status EmbedRows(const EmbedTask& task, const TextEmbedder& embedder, const at::Device& device,
                 const std::vector<SampledRow>& rows, Observer& observer) {
  const auto proceed = [&]() -> Status {
    if (observer.ShouldStop() == StopRequest::kNone) return Status();
    return Cancelled("stopped while embedding");
  };
  std::vector<const SampledRow*> group;
  std::vector<TokenizedExample> examples;
  int64_t tokens = 0;
  size_t empty = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadingText(rows[i].line));
    ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, embedder.Tokenize(text));
    if (example.tokens.empty()) {
      ++empty;
    } else {
      tokens += static_cast<int64_t>(example.tokens.size());
      group.push_back(&rows[i]);
      examples.push_back(std::move(example));
    }
    if (i + 1 < rows.size() && tokens < kTokensAPass) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<MeasuredExample> measured,
                            embedder.Embed(std::exchange(examples, {}), device, proceed));
    for (size_t k = 0; k < group.size(); ++k) observer.OnOutput(Line(*group[k], measured[k]));
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
    ATTUNE_ASSIGN_OR_RETURN(
        const TextEmbedder embedder,
        TextEmbedder::Open(task.model, model.get(), &assets, int64_t{task.max_tokens}));
    return EmbedRows(task, embedder, device, rows, observer);
  });
}

}  // namespace attune::engine
