#include "worker/engine/tasks/moved.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parallel/host_memory.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/probe.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kSequenceLengthMax = 1024;
constexpr int64_t kTokensAtOnce = 512;  // a progress each
constexpr int64_t kRowBytesMax = 256 << 20;
constexpr double kGiB = 1 << 30;

// What a model says of one example or token: float32 [rows, width].
using TakeRows = std::function<void(size_t pass, const at::Tensor& rows)>;

// Sums over all rows that are compared.
class Distance {
 public:
  // targets: what each row predicts; undefined where it predicts nothing.
  void Add(const at::Tensor& before, const at::Tensor& after, const at::Tensor& targets) {
    constexpr int64_t kRowsAtOnce = 64;  // in double
    for (int64_t row = 0; row < before.size(0); row += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, before.size(0) - row);
      const at::Tensor a = before.narrow(0, row, count).to(at::kDouble);
      const at::Tensor b = after.narrow(0, row, count).to(at::kDouble);
      rows_ += count;
      const double largest = (a - b).abs().max().item<double>();
      finite_ = finite_ && std::isfinite(largest);
      largest_ = std::max(largest_, largest);
      same_top_ += a.argmax(1).eq(b.argmax(1)).sum().item<int64_t>();
      if (targets.defined()) {
        AddPredictions(a, b, targets.narrow(0, row, count));
      } else {
        const at::Tensor cosines = at::cosine_similarity(a, b, 1);
        least_cosine_ = std::min(least_cosine_, cosines.min().item<double>());
      }
    }
  }

  bool finite() const { return finite_ && std::isfinite(kl_); }
  double largest() const { return largest_; }
  double same_top() const { return static_cast<double>(same_top_) / Rows(); }
  double least_cosine() const { return least_cosine_; }
  double kl() const { return std::max(0.0, kl_ / Rows()); }
  double loss_before() const { return loss_before_ / Rows(); }
  double loss_after() const { return loss_after_ / Rows(); }
  int64_t rows() const { return rows_; }

 private:
  double Rows() const { return static_cast<double>(rows_); }

  void AddPredictions(const at::Tensor& a, const at::Tensor& b, const at::Tensor& targets) {
    const at::Tensor before = at::log_softmax(a, 1), after = at::log_softmax(b, 1);
    const at::Tensor column = targets.unsqueeze(1);
    kl_ += (before.exp() * (before - after)).sum().item<double>();
    loss_before_ -= before.gather(1, column).sum().item<double>();
    loss_after_ -= after.gather(1, column).sum().item<double>();
  }

  int64_t rows_ = 0, same_top_ = 0;
  double largest_ = 0, least_cosine_ = 1, kl_ = 0, loss_before_ = 0, loss_after_ = 0;
  bool finite_ = true;
};

// What goes through a model at once.
struct Pass {
  PackedBatch batch;
  at::Tensor rows, targets;  // int64: rows that are compared, and what follows them; or undefined
};

class Comparison {
 public:
  Comparison(const ExportTask& task, const fs::path& merged, Observer& observer)
      : task_(task),
        merged_{.reference = task.model.reference + ", merged",
                .path = merged,
                .format = "huggingface"},
        observer_(observer) {}

  Result<json> Run() {
    ATTUNE_RETURN_IF_ERROR(CheckMemory());
    ATTUNE_RETURN_IF_ERROR(MakePasses());
    Say(0);
    std::vector<at::Tensor> before;
    ATTUNE_RETURN_IF_ERROR(
        RunModel(task_.model, [&](size_t, const at::Tensor& rows) { before.push_back(rows); }));
    Distance distance;
    ATTUNE_RETURN_IF_ERROR(RunModel(merged_, [&](size_t pass, const at::Tensor& rows) {
      distance.Add(before[pass], rows, passes_[pass].targets);
      before[pass].reset();
    }));
    if (!distance.finite()) {
      return FailedPrecondition(
          "the outputs are no finite numbers: the dtype of the export may not hold the weights");
    }
    return Report(distance);
  }

 private:
  void Say(size_t done) {
    observer_.OnProgress({.phase = "comparing",
                          .done = static_cast<double>(done),
                          .total = static_cast<double>(2 * passes_.size())});
  }

  // Exports go on where the model itself does not fit: its weights are never whole in memory.
  Status CheckMemory() const {
    ATTUNE_ASSIGN_OR_RETURN(const auto weights, OpenWeights(RootOf(task_.model).path));
    int64_t elements = 0;
    for (const auto& [name, info] : weights->tensors()) elements += info.elements();
    const double needed = 4.4 * static_cast<double>(elements) + 2.0 * kRowBytesMax;
    const auto free = FreeHostBytes();
    if (!free || static_cast<double>(*free) >= needed) return Status();
    return ResourceExhausted("the model needs some " + ShortNumber(needed / kGiB) +
                             " GiB of memory to be run here, and " +
                             ShortNumber(static_cast<double>(*free) / kGiB) + " are free");
  }

  Status MakePasses() {
    TokenizeOptions options;
    ATTUNE_ASSIGN_OR_RETURN(options.assets, LoadModelText(merged_));
    ATTUNE_ASSIGN_OR_RETURN(options.objective, ResolveObjective({}, merged_));
    ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadModelConfig(merged_.path));
    ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config,
                            ParseModelConfig(text, merged_.path.string() + ": config.json"));
    options.vocabulary_size = config.vocabulary_size;
    options.sequence_length =
        static_cast<size_t>(std::min(config.max_positions, kSequenceLengthMax));
    kind_ = KindOf(options.objective);
    ATTUNE_ASSIGN_OR_RETURN(probe_, MakeProbe(task_.datasets, options, observer_));
    Pack(kRowBytesMax / static_cast<int64_t>(sizeof(float)) / config.vocabulary_size);
    return Status();
  }

  // Of rows that predict a token there are at most so many.
  void Pack(int64_t rows_max) {
    std::vector<BatchText> texts;
    int64_t tokens = 0;
    for (size_t i = 0; i < probe_.examples.size(); ++i) {
      const TokenizedExample& example = probe_.examples[i];
      const auto length = static_cast<int64_t>(example.tokens.size());
      if (tokens + length > kTokensAtOnce) AddPass(std::exchange(texts, {}), &rows_max);
      if (texts.empty()) tokens = 0;
      texts.push_back({example.tokens, example.targets, static_cast<uint32_t>(i)});
      tokens += length;
    }
    AddPass(std::move(texts), &rows_max);
  }

  void AddPass(const std::vector<BatchText>& texts, int64_t* rows_left) {
    if (texts.empty() || *rows_left == 0) return;
    Pass pass{.batch = PackTexts(texts, at::kCPU)};
    if (PredictsTokens()) {
      const int64_t rows = std::min(*rows_left, pass.batch.targets.size(0));
      pass.rows = pass.batch.target_rows.narrow(0, 0, rows);
      pass.targets = pass.batch.targets.narrow(0, 0, rows);
      *rows_left -= rows;
    }
    examples_ += texts.size();
    passes_.push_back(std::move(pass));
  }

  bool PredictsTokens() const {
    return kind_ == ObjectiveKind::kCausalLm || kind_ == ObjectiveKind::kSeq2seq;
  }

  at::Tensor RowsOf(LanguageModel& model, const Pass& pass) const {
    if (PredictsTokens()) return model.Logits(pass.batch, pass.rows);
    return kind_ == ObjectiveKind::kClassification ? model.LabelLogits(pass.batch)
                                                   : model.MeanHidden(pass.batch);
  }

  Status RunModel(const ModelFiles& files, const TakeRows& take) {
    at::NoGradGuard no_grad;
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<LanguageModel> model,
                            LanguageModel::Load(files, {.frozen = true, .encoders = true}));
    model->SetTraining(false, 0);
    for (size_t pass = 0; pass < passes_.size(); ++pass) {
      if (observer_.ShouldStop() != StopRequest::kNone) return Cancelled("stopped as asked");
      take(pass, RowsOf(*model, passes_[pass]).to(at::kFloat));
      Say(++done_);
    }
    return Status();
  }

  json Report(const Distance& distance) const {
    json moved = {{"examples", examples_}, {"source", probe_.source}};
    if (PredictsTokens()) {
      moved.update({{"tokens", distance.rows()},
                    {"loss_before", distance.loss_before()},
                    {"loss_after", distance.loss_after()},
                    {"kl", distance.kl()},
                    {"same_top_token", distance.same_top()},
                    {"largest_logit_difference", distance.largest()}});
    } else if (kind_ == ObjectiveKind::kClassification) {
      moved.update({{"tokens", probe_.tokens},
                    {"same_label", distance.same_top()},
                    {"largest_logit_difference", distance.largest()}});
    } else {
      moved.update({{"tokens", probe_.tokens},
                    {"least_cosine", distance.least_cosine()},
                    {"largest_difference", distance.largest()}});
    }
    return moved;
  }

  const ExportTask& task_;
  const ModelFiles merged_;
  Observer& observer_;
  ObjectiveKind kind_ = ObjectiveKind::kCausalLm;
  Probe probe_;
  std::vector<Pass> passes_;
  size_t examples_ = 0;  // in them
  size_t done_ = 0;      // passes, of both models
};

}  // namespace

json HowMoved(const ExportTask& task, const fs::path& merged, Observer& observer) {
  const Result<json> moved = Guarded([&] { return Comparison(task, merged, observer).Run(); });
  if (moved.ok()) return *moved;
  observer.OnWarning("the merged model is written, but was not compared with its parts: " +
                     moved.status().message());
  return {{"error", moved.status().message()}};
}

}  // namespace attune::engine
