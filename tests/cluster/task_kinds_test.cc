// A job of each task through processes, on real text (the pages of docs/), from submit to a model
// that is registered, measured, used and exported: classifiers and embeddings of a real encoder
// (all-MiniLM-L6-v2), masked tokens, and preferences; and of a method that is no other's: a prompt.

#include <gmock/gmock.h>

#include <fstream>
#include <numeric>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/safetensors/safetensors.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kPages[] = {"cli", "gates", "datasets"};
constexpr const char* kEncoder = ".deps/models/minilm";

// The paragraphs of a page that say something.
std::vector<std::string> Paragraphs(const std::string& page) {
  std::vector<std::string> paragraphs(1);
  std::ifstream file("docs/" + page + ".md");
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) {
      paragraphs.emplace_back();
    } else {
      paragraphs.back() += (paragraphs.back().empty() ? "" : " ") + line;
    }
  }
  std::erase_if(paragraphs, [](const std::string& text) { return text.size() < 120; });
  for (std::string& text : paragraphs) text.resize(std::min<size_t>(text.size(), 400));
  if (paragraphs.size() > 60) paragraphs.resize(60);
  return paragraphs;
}

// A paragraph cut in two.
std::pair<std::string, std::string> Halves(const std::string& text) {
  const size_t cut = text.find(' ', text.size() / 2);
  return {text.substr(0, cut), text.substr(std::min(cut, text.size()))};
}

std::string LabelledRows() {
  std::string rows;
  for (const char* page : kPages) {
    for (const std::string& text : Paragraphs(page)) {
      rows += Json{{"text", text}, {"label", page}}.dump() + "\n";
    }
  }
  return rows;
}

std::string PairRows() {
  std::string rows;
  for (const char* page : kPages) {
    for (const std::string& text : Paragraphs(page)) {
      const auto [begin, end] = Halves(text);
      rows += Json{{"prompt", begin}, {"completion", end}}.dump() + "\n";
    }
  }
  return rows;
}

// What goes on with a paragraph is chosen, what goes on with the next rejected.
std::string PreferenceRows() {
  std::string rows;
  const std::vector<std::string> all = Paragraphs("datasets");
  for (size_t i = 0; i < all.size(); ++i) {
    const auto [begin, end] = Halves(all[i].substr(0, 160));
    const std::string other = Halves(all[(i + 1) % all.size()].substr(0, 160)).second;
    rows += Json{{"prompt", begin}, {"chosen", end}, {"rejected", other}}.dump() + "\n";
  }
  return rows;
}

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

// A folder of random weights (scales of norms around 1), with the tokenizer of another.
void WriteRandomModel(const fs::path& folder, const Json& config, const Shapes& shapes,
                      const fs::path& tokenizer) {
  fs::create_directories(folder);
  ASSERT_TRUE(WriteFileAtomically(folder / "config.json", config.dump()).ok());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    if (fs::exists(tokenizer / name)) fs::copy_file(tokenizer / name, folder / name);
  }
  Random random(3);
  std::vector<std::vector<float>> values;
  std::vector<TensorBytes> tensors;
  for (const auto& [name, shape] : shapes) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    std::vector<float>& data = values.emplace_back(static_cast<size_t>(count));
    const bool is_scale = name.ends_with("orm.weight");
    for (float& value : data) {
      value = (is_scale ? 1.0F : 0.0F) + (static_cast<float>(random.Below(2001)) - 1000) / 50000;
    }
    tensors.push_back({name, "F32", shape, data.data(), data.size() * sizeof(float)});
  }
  ASSERT_TRUE(WriteSafetensors(folder / "model.safetensors", tensors).ok());
}

// A small BertForMaskedLM, with the tokenizer of the real encoder.
void WriteMaskedModel(const fs::path& folder) {
  constexpr int64_t kWords = 30522, kHidden = 32, kWide = 64, kPositions = 128;
  Shapes shapes = {{"bert.embeddings.word_embeddings.weight", {kWords, kHidden}},
                   {"bert.embeddings.position_embeddings.weight", {kPositions, kHidden}},
                   {"bert.embeddings.token_type_embeddings.weight", {2, kHidden}},
                   {"cls.predictions.transform.dense.weight", {kHidden, kHidden}},
                   {"cls.predictions.transform.dense.bias", {kHidden}},
                   {"cls.predictions.bias", {kWords}}};
  const std::string layer = "bert.encoder.layer.0.";
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    shapes.push_back({layer + name + ".weight", {out, in}});
    shapes.push_back({layer + name + ".bias", {out}});
  };
  for (const char* name : {"query", "key", "value"}) {
    linear(std::string("attention.self.") + name, kHidden, kHidden);
  }
  linear("attention.output.dense", kHidden, kHidden);
  linear("intermediate.dense", kWide, kHidden);
  linear("output.dense", kHidden, kWide);
  for (const std::string& norm :
       {std::string("bert.embeddings.LayerNorm"), layer + "attention.output.LayerNorm",
        layer + "output.LayerNorm", std::string("cls.predictions.transform.LayerNorm")}) {
    shapes.push_back({norm + ".weight", {kHidden}});
    shapes.push_back({norm + ".bias", {kHidden}});
  }
  WriteRandomModel(folder,
                   {{"architectures", {"BertForMaskedLM"}},
                    {"model_type", "bert"},
                    {"vocab_size", kWords},
                    {"hidden_size", kHidden},
                    {"intermediate_size", kWide},
                    {"num_hidden_layers", 1},
                    {"num_attention_heads", 2},
                    {"max_position_embeddings", kPositions}},
                   shapes, kEncoder);
}

// A small T5, with a tokenizer of T5's kind.
void WriteT5(const fs::path& folder) {
  constexpr int64_t kWords = 704, kHidden = 32, kWide = 64, kBuckets = 8, kHeads = 2;
  Shapes shapes = {{"shared.weight", {kWords, kHidden}}};
  for (const std::string stack : {"encoder.", "decoder."}) {
    const std::string block = stack + "block.0.layer.";
    int layer = 0;
    const auto attention = [&](const std::string& name) {
      const std::string prefix = block + std::to_string(layer++) + ".";
      for (const char* part : {"q", "k", "v", "o"}) {
        shapes.push_back({prefix + name + "." + part + ".weight", {kHidden, kHidden}});
      }
      shapes.push_back({prefix + "layer_norm.weight", {kHidden}});
    };
    attention("SelfAttention");
    shapes.push_back(
        {block + "0.SelfAttention.relative_attention_bias.weight", {kBuckets, kHeads}});
    if (stack == "decoder.") attention("EncDecAttention");
    const std::string last = block + std::to_string(layer) + ".";
    shapes.push_back({last + "DenseReluDense.wi.weight", {kWide, kHidden}});
    shapes.push_back({last + "DenseReluDense.wo.weight", {kHidden, kWide}});
    shapes.push_back({last + "layer_norm.weight", {kHidden}});
    shapes.push_back({stack + "final_layer_norm.weight", {kHidden}});
  }
  WriteRandomModel(folder,
                   {{"architectures", {"T5ForConditionalGeneration"}},
                    {"model_type", "t5"},
                    {"vocab_size", kWords},
                    {"d_model", kHidden},
                    {"d_kv", kHidden / kHeads},
                    {"d_ff", kWide},
                    {"num_layers", 1},
                    {"num_decoder_layers", 1},
                    {"num_heads", kHeads},
                    {"relative_attention_num_buckets", kBuckets},
                    {"feed_forward_proj", "relu"},
                    {"decoder_start_token_id", 0},
                    {"eos_token_id", 1},
                    {"pad_token_id", 0}},
                   shapes, "tests/fixtures/text/t5");
}

class TaskKindsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(cluster_.Up(1)); }

  void ImportModel(const std::string& name, const std::string& folder) {
    const Finished imported = cluster_.Attune({"model", "import", name, folder});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }
  void ImportRows(const std::string& name, const std::string& rows) {
    const Finished imported = cluster_.Attune(
        {"dataset", "import", name, cluster_.Write("in/" + name + ".jsonl", rows).string(),
         "--validation", "0.2"});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }
  // Waits for its end; the job.
  Json Run(const std::string& spec) {
    const Json job = cluster_.WaitForEnd(cluster_.Submit(spec));
    EXPECT_EQ(job["state"], "SUCCEEDED") << job.dump(2);
    return job;
  }

  // As `model evaluate` measures it.
  double LossOf(const std::string& model, const std::string& dataset,
                const std::string& split = "validation") {
    const Json measured =
        cluster_.AttuneJson({"model", "evaluate", model, "--dataset", dataset, "--split", split});
    return measured["results"][0]["value"].get<double>();
  }

  Cluster cluster_;
};

constexpr const char* kShort =
    "train: {sequence_length: 96, global_batch: 8, epochs: 20, max_steps: ";

TEST_F(TaskKindsTest, AClassifierIsTrainedMeasuredUsedAndExported) {
  ASSERT_NO_FATAL_FAILURE(ImportModel("encoder", kEncoder));
  ASSERT_NO_FATAL_FAILURE(ImportRows("pages", LabelledRows()));
  const Json job =
      Run(std::string("name: pages\nbase: encoder\ndataset: pages\nmethod: full\n"
                      "task: {type: classification, labels: [cli, gates, datasets]}\n") +
          kShort +
          "24, micro_batch: 8}\noptimizer: {learning_rate: 3e-4}\n"
          "evaluate: {every_steps: 6, metric: accuracy, keep_best: true}\n");
  const Json& metrics = job["metrics"];
  EXPECT_LT(metrics["validation_loss"], metrics["first_validation_loss"]);
  EXPECT_GT(metrics["validation_accuracy"].get<double>(), 0.6) << metrics.dump();

  double best = 0;
  int best_step = 0;  // the first with it
  for (const Json& point : cluster_.AttuneLines({"job", "metrics", "pages"})) {
    if (!point.contains("validation_accuracy")) continue;
    const double accuracy = point["validation_accuracy"].get<double>();
    if (accuracy > best) best_step = point.value("step", 0);
    best = std::max(best, accuracy);
  }
  EXPECT_EQ(metrics["validation_accuracy"].get<double>(), best);

  const std::vector<Json> labelled = cluster_.AttuneLines(
      {"model", "generate", "pages", "--prompt",
       "attune job submit FILE [flags]: prints the job; attune job watch follows it", "-o",
       "jsonl"});
  ASSERT_EQ(labelled.size(), 1u);
  EXPECT_EQ(labelled[0]["label"], "cli") << labelled[0].dump();
  EXPECT_EQ(labelled[0]["probabilities"].size(), 3u);

  const Finished measured = cluster_.Attune({"model", "evaluate", "pages", "--dataset", "pages",
                                             "--metric", "accuracy=cli,gates,datasets"});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_THAT(measured.out, HasSubstr("accuracy"));

  const fs::path folder = cluster_.home() / "exported";
  const Finished exported = cluster_.Attune({"model", "export", "pages", folder.string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const Json config = Json::parse(cluster_.Read("exported/config.json"));
  EXPECT_EQ(config["architectures"][0], "BertForSequenceClassification");
  EXPECT_EQ(config["id2label"]["1"], "gates");
  EXPECT_EQ(Json::parse(cluster_.Read("exported/attune.json"))["best_step"], best_step);

  // What a label is not, and what a classifier does not do, are said.
  const Finished wrong =
      cluster_.Attune({"model", "evaluate", "pages", "--dataset", "pages", "--metric", "rouge_l"});
  EXPECT_THAT(wrong.err, HasSubstr("plain texts, without a prompt to answer"));
  const Json refused =
      cluster_.WaitForEnd(cluster_.Submit("base: encoder\ndataset: pages\nmethod: full\ntask: "
                                          "{type: classification, labels: [a, b]}\n"
                                          "train: {sequence_length: 96}\n"));
  EXPECT_EQ(refused["state"], "FAILED");
  EXPECT_THAT(refused["reason"].get<std::string>(), HasSubstr("is not one of task.labels"));
}

// peft's way: the base knows no labels, the adapter has a head of its own, and its labels.
TEST_F(TaskKindsTest, AnAdapterClassifies) {
  ASSERT_NO_FATAL_FAILURE(ImportModel("encoder", kEncoder));
  ASSERT_NO_FATAL_FAILURE(ImportRows("pages", LabelledRows()));
  const std::string spec =
      std::string(
          "name: pages\nbase: encoder\ndataset: pages\nmethod: {type: lora, rank: 8}\n"
          "task: {type: classification, labels: [cli, gates, datasets]}\n") +
      kShort + "24, micro_batch: 8}\noptimizer: {learning_rate: 3e-3}\n";
  const Json job = Run(spec);
  EXPECT_GT(job["metrics"]["validation_accuracy"].get<double>(), 0.6) << job["metrics"].dump();
  const std::vector<std::string> prompt = {
      "--prompt", "attune job submit FILE [flags]: prints the job; attune job watch follows it",
      "-o", "jsonl"};
  const auto label = [&](const std::string& model) {
    std::vector<std::string> command = {"model", "generate", model};
    command.insert(command.end(), prompt.begin(), prompt.end());
    const std::vector<Json> lines = cluster_.AttuneLines(command);
    return lines.empty() ? Json() : lines[0];
  };
  const Json labelled = label("pages");
  EXPECT_EQ(labelled["label"], "cli") << labelled.dump();

  const fs::path folder = cluster_.home() / "adapter", merged = cluster_.home() / "merged";
  ASSERT_EQ(cluster_.Attune({"model", "export", "pages", folder.string()}).exit_code, 0);
  EXPECT_EQ(Json::parse(cluster_.Read("adapter/adapter_config.json"))["task_type"], "SEQ_CLS");
  EXPECT_EQ(Json::parse(cluster_.Read("adapter/labels.json")), (Json{"cli", "gates", "datasets"}));
  const Finished again =
      cluster_.Attune({"model", "import", "again", folder.string(), "--base", "encoder"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(label("again")["probabilities"], labelled["probabilities"]);

  const Finished exported =
      cluster_.Attune({"model", "export", "pages", merged.string(), "--merge"});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(Json::parse(cluster_.Read("merged/config.json"))["id2label"]["2"], "datasets");
  ASSERT_NO_FATAL_FAILURE(ImportModel("whole", merged.string()));
  EXPECT_EQ(label("whole")["label"], "cli");
  const Finished measured = cluster_.Attune({"model", "evaluate", "pages", "--dataset", "pages",
                                             "--metric", "accuracy=cli,gates,datasets"});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;

  // It is trained on with the labels that it has, which need not be said, and no others.
  const std::string on = "name: on\nbase: pages\ndataset: pages\nmethod: {type: lora, rank: 8}\n";
  Run(on + kShort + "2, micro_batch: 8}\n");
  const Json refused = cluster_.WaitForEnd(
      cluster_.Submit(on + "task: {type: classification, labels: [cli, gates, datasets, more]}\n"
                           "train: {sequence_length: 96}\n"));
  EXPECT_EQ(refused["state"], "FAILED");
  EXPECT_THAT(refused["reason"].get<std::string>(), HasSubstr("tells 3 labels apart"));
}

TEST_F(TaskKindsTest, EmbeddingsComeNearEachOther) {
  ASSERT_NO_FATAL_FAILURE(ImportModel("encoder", kEncoder));
  ASSERT_NO_FATAL_FAILURE(ImportRows("halves", PairRows()));
  const Json job = Run(
      std::string("name: near\nbase: encoder\ndataset: halves\nmethod: full\ntask: embedding\n") +
      kShort + "24, micro_batch: 4}\noptimizer: {learning_rate: 5e-5}\n");
  EXPECT_TRUE(job["metrics"].contains("validation_accuracy"));
  // On what it was trained with: these few texts teach a good encoder little about others.
  EXPECT_LT(LossOf("near", "halves", "train"), 0.9 * LossOf("encoder", "halves", "train"));
  const auto embedded = cluster_.AttuneLines(
      {"model", "generate", "near", "--prompt", "Where is my parcel?", "--prompt",
       "When does my package arrive?", "--prompt", "The gate keeps the champion."});
  ASSERT_EQ(embedded.size(), 3u);
  const auto cosine = [&](size_t a, size_t b) {
    const auto x = embedded[a]["embedding"].get<std::vector<double>>();
    const auto y = embedded[b]["embedding"].get<std::vector<double>>();
    EXPECT_EQ(x.size(), 384u);
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  EXPECT_NEAR(cosine(0, 0), 1, 1e-5) << "of unit length";
  EXPECT_GT(cosine(0, 1), cosine(0, 2) + 0.2);

  const Finished refused = cluster_.Attune(
      {"model", "evaluate", "near", "--dataset", "halves", "--metric", "exact_match"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr("the model is an encoder"));
  // It is an encoder again, whole: with its pooler, and how its rows become one embedding.
  const fs::path folder = cluster_.home() / "exported";
  const Finished exported = cluster_.Attune({"model", "export", "near", folder.string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  ASSERT_NO_FATAL_FAILURE(ImportModel("again", folder.string()));
  const Json pooling = Json::parse(cluster_.Read("exported/1_Pooling/config.json"));
  EXPECT_EQ(pooling["pooling_mode_mean_tokens"], true);
}

TEST_F(TaskKindsTest, MaskedTokensAreFound) {
  const fs::path folder = cluster_.home() / "in/masked";
  ASSERT_NO_FATAL_FAILURE(WriteMaskedModel(folder));
  ASSERT_NO_FATAL_FAILURE(ImportModel("masked", folder.string()));
  std::string rows;
  for (const std::string& text : Paragraphs("datasets")) rows += Json{{"text", text}}.dump() + "\n";
  ASSERT_NO_FATAL_FAILURE(ImportRows("texts", rows));
  const Json job = Run(
      std::string("name: found\nbase: masked\ndataset: texts\nmethod: full\ntask: masked-lm\n") +
      kShort + "12, micro_batch: 4}\noptimizer: {learning_rate: 1e-2}\n");
  EXPECT_LT(job["metrics"]["validation_loss"], job["metrics"]["first_validation_loss"]);
  // Which tokens are masked follows from the rows, so that two models are asked the same.
  EXPECT_LT(LossOf("found", "texts"), LossOf("masked", "texts"));
  EXPECT_EQ(LossOf("found", "texts"), LossOf("found", "texts"));
}

TEST_F(TaskKindsTest, ASourceIsAnswered) {
  const fs::path folder = cluster_.home() / "in/t5";
  ASSERT_NO_FATAL_FAILURE(WriteT5(folder));
  ASSERT_NO_FATAL_FAILURE(ImportModel("t5", folder.string()));
  ASSERT_NO_FATAL_FAILURE(ImportRows("halves", PairRows()));
  for (const std::string method : {"full", "lora"}) {
    const Json job =
        Run("name: answers-" + method + "\nbase: t5\ndataset: halves\nmethod: " + method + "\n" +
            kShort + "12, micro_batch: 4}\noptimizer: {learning_rate: 2e-2}\n");
    EXPECT_LT(job["metrics"]["validation_loss"], job["metrics"]["first_validation_loss"]) << method;
    const std::vector<Json> answers =
        cluster_.AttuneLines({"model", "generate", "answers-" + method, "--prompt", "Data goes to",
                              "--max-tokens", "4", "-o", "jsonl"});
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_GT(answers[0]["tokens"].get<int>(), 0);
  }
  const Finished measured =
      cluster_.Attune({"model", "evaluate", "answers-full", "--dataset", "halves"});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
}

TEST_F(TaskKindsTest, ChosenAnswersArePreferred) {
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  ASSERT_NO_FATAL_FAILURE(ImportRows("pairs", PreferenceRows()));
  const std::string spec =
      std::string(
          "name: preferred\nbase: tiny\ndataset: pairs\nmethod: {type: lora, rank: 8}\n"
          "task: preference\n") +
      "train: {sequence_length: 256, global_batch: 8, epochs: 20, max_steps: 16}\n"
      "optimizer: {learning_rate: 1e-2}\n";
  const Json job = Run(spec);
  // Before the first step nothing is preferred: the loss is ln 2.
  EXPECT_NEAR(job["metrics"]["first_validation_loss"].get<double>(), 0.693147, 1e-5);
  EXPECT_LT(job["metrics"]["loss"].get<double>(), 0.69);
  EXPECT_EQ(job["model"], "preferred@1");
  // The same data teach no other task.
  const Finished refused = cluster_.Attune(
      {"job", "submit", cluster_.Write("in/sft.yaml", spec).string(), "--set", "task=causal-lm"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr("only task: preference learns from"));
}

// From submit to a model that is measured, answers, and goes out and in again.
TEST_F(TaskKindsTest, APromptIsTuned) {
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  ASSERT_NO_FATAL_FAILURE(ImportRows("halves", PairRows()));
  const std::string spec =
      "name: prompted\nbase: tiny\ndataset: halves\n"
      "method: {type: prompt-tuning, virtual_tokens: 8, init_text: Go on with the text}\n"
      "train: {sequence_length: 480, global_batch: 8, epochs: 20, max_steps: 12}\n"
      "optimizer: {learning_rate: 5e-2}\n";
  const Json job = Run(spec);
  EXPECT_LT(job["metrics"]["validation_loss"], job["metrics"]["first_validation_loss"]);
  EXPECT_EQ(job["model"], "prompted@1");
  const auto answer = [&](const std::string& model) {
    const std::vector<Json> lines = cluster_.AttuneLines(
        {"model", "generate", model, "--prompt", "Data", "--max-tokens", "8", "-o", "jsonl"});
    return lines.size() == 1 ? lines[0]["text"].get<std::string>() : "";
  };
  const std::string said = answer("prompted");
  const Finished measured = cluster_.Attune(
      {"model", "evaluate", "prompted", "--dataset", "halves", "--max-examples", "10"});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;

  const fs::path folder = cluster_.home() / "exported";
  const Finished exported = cluster_.Attune({"model", "export", "prompted", folder.string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const Json config = Json::parse(cluster_.Read("exported/adapter_config.json"));
  EXPECT_EQ(config["peft_type"], "PROMPT_TUNING");
  const Finished again =
      cluster_.Attune({"model", "import", "again", folder.string(), "--base", "tiny"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(answer("again"), said);
  const Finished merged = cluster_.Attune(
      {"model", "export", "prompted", (cluster_.home() / "merged").string(), "--merge"});
  EXPECT_NE(merged.exit_code, 0);
  EXPECT_THAT(merged.err, HasSubstr("is a prompt"));

  // Training goes on from it; what it cannot do is said before the first step.
  const std::string file = cluster_.Write("in/prompt.yaml", spec).string();
  const Finished refused = cluster_.Attune({"job", "submit", file, "--set", "task=embedding"});
  EXPECT_THAT(refused.err, HasSubstr("method.type prompt-tuning learns"));
  std::string too_long = spec;
  too_long.replace(too_long.find("480"), 3, "505");
  const Json longer = cluster_.WaitForEnd(cluster_.Submit(too_long));
  EXPECT_EQ(longer["state"], "FAILED");
  EXPECT_THAT(longer["reason"].get<std::string>(), HasSubstr("behind its 8 virtual tokens"));
  Run("name: on\nbase: prompted\ndataset: halves\n" + spec.substr(spec.find("method")));
}

}  // namespace
}  // namespace attune::cluster
