#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/safetensors/safetensors.h"
#include "coordinator/models/copy.h"
#include "coordinator/models/inspect.h"
#include "coordinator/models/registry.h"
#include "coordinator/models/schema.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/unit/formats/gguf_builder.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune::models {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

// A Llama of one layer, all zeros, with a vocabulary of 4 rows.
struct TinyGguf {
  std::string architecture = "llama";
  uint64_t tokens = 4;                        // of the tokenizer; 0: none
  std::string type = "F32";                   // of the matrices
  std::map<std::string, uint32_t> numbers{};  // more metadata
  std::string without{};                      // a tensor that is missing

  std::string Text() const {
    std::map<std::string, uint32_t> all = {{"llama.embedding_length", 256},
                                           {"llama.feed_forward_length", 256},
                                           {"llama.block_count", 1},
                                           {"llama.attention.head_count", 4},
                                           {"llama.context_length", 64}};
    all.insert(numbers.begin(), numbers.end());
    std::vector<std::pair<std::string, std::vector<uint64_t>>> tensors = {
        {"token_embd.weight", {256, 4}},
        {"output_norm.weight", {256}},
        {"blk.0.attn_norm.weight", {256}},
        {"blk.0.ffn_norm.weight", {256}}};
    for (const char* name :
         {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      tensors.push_back({"blk.0." + std::string(name) + ".weight", {256, 256}});
    }
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == without; });

    gguf::Bytes bytes;
    bytes.Header(tensors.size(), all.size() + (tokens > 0 ? 3 : 2));
    bytes.Key("general.architecture", gguf::ValueType::kString).String(architecture);
    bytes.Key("llama.attention.layer_norm_rms_epsilon", gguf::ValueType::kFloat32).Add(1e-5f);
    for (const auto& [key, value] : all) bytes.Key(key, gguf::ValueType::kUint32).Add(value);
    if (tokens > 0) {
      bytes.Key("tokenizer.ggml.tokens", gguf::ValueType::kArray);
      bytes.Add<uint32_t>(8).Add<uint64_t>(tokens);
      for (uint64_t i = 0; i < tokens; ++i) bytes.String("t" + std::to_string(i));
    }
    uint64_t offset = 0;
    for (const auto& [name, shape] : tensors) {
      const gguf::ElementType* element = gguf::FindElementType(shape.size() > 1 ? type : "F32");
      uint64_t elements = 1;
      for (uint64_t dimension : shape) elements *= dimension;
      bytes.TensorInfo(name, shape, element->number, offset);
      offset += elements / element->block_elements * element->block_bytes;
      offset = (offset + 31) / 32 * 32;
    }
    return bytes.Pad().Zeros(offset).text();
  }
};

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = storage_.path() / "in/tiny";
    ASSERT_TRUE(testing::WriteTinyLlama(model_).ok());
    config_ = nlohmann::json::parse(*ReadFile(model_ / "config.json"));
  }

  Result<v1::ModelVersion> Import(const std::string& name, const fs::path& path,
                                  const std::string& base = "",
                                  const std::string& request_id = "") {
    v1::ImportModelRequest request;
    request.set_name(name);
    request.set_path(path.string());
    request.set_base(base);
    request.set_request_id(request_id);
    return registry_.Import(request);
  }

  // Refused for the reason, and nothing stays behind.
  void ExpectRefused(const fs::path& path, const std::string& reason) {
    Result<v1::ModelVersion> version = Import("bad", path);
    ASSERT_FALSE(version.ok()) << reason;
    EXPECT_EQ(version.status().code(), StatusCode::kInvalidArgument) << version.status().ToString();
    EXPECT_EQ(version.status().field(), "path");
    EXPECT_THAT(version.status().message(), HasSubstr(reason));
    EXPECT_THAT(version.status().message(), Not(HasSubstr(".import-")));
    EXPECT_THAT(storage_.Tree("models"), IsEmpty());
  }

  fs::path Adapter(const std::string& base) {
    fs::path folder = storage_.path() / "in/adapter";
    fs::create_directories(folder);
    WriteAdapterTensors(2);
    nlohmann::json config = {{"peft_type", "LORA"},
                             {"r", 2},
                             {"lora_alpha", 4},
                             {"target_modules", {"q_proj"}},
                             {"base_model_name_or_path", base}};
    storage_.Write("in/adapter/adapter_config.json", config.dump());
    return folder;
  }

  void WriteAdapterTensors(int64_t rank) {
    const std::vector<float> zeros(static_cast<size_t>(rank) * 32);
    std::vector<TensorBytes> tensors;
    for (int layer = 0; layer < 2; ++layer) {
      const std::string module =
          "base_model.model.model.layers." + std::to_string(layer) + ".self_attn.q_proj.lora_";
      const size_t bytes = zeros.size() * sizeof(float);
      tensors.push_back({module + "A.weight", "F32", {rank, 32}, zeros.data(), bytes});
      tensors.push_back({module + "B.weight", "F32", {32, rank}, zeros.data(), bytes});
    }
    EXPECT_TRUE(
        WriteSafetensors(storage_.path() / "in/adapter/adapter_model.safetensors", tensors).ok());
  }

  // The model's config.json with one key changed.
  void Configure(const char* key, const nlohmann::json& value) {
    nlohmann::json config = config_;
    config[key] = value;
    storage_.Write("in/tiny/config.json", config.dump());
  }

  TemporaryStorage storage_{Migrations()};
  Registry registry_{storage_.database(), storage_.path()};
  fs::path model_;
  nlohmann::json config_;  // of the model, as it was written
};

TEST_F(RegistryTest, ImportsAHuggingFaceFolder) {
  storage_.Write("in/tiny/modeling_evil.py", "import os");
  storage_.Write("in/tiny/pytorch_model.bin", "pickle");
  Result<v1::ModelVersion> version = Import("tiny", model_);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->version(), 1u);
  EXPECT_EQ(version->format(), "huggingface");
  EXPECT_EQ(version->architecture(), "llama");
  EXPECT_EQ(version->parameters(),
            260u * 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32) + 32);
  EXPECT_EQ(version->lineage().source(), model_.string());
  EXPECT_THAT(version->lineage().code_version(), ::testing::StartsWith("0."));
  EXPECT_EQ(version->path(), (storage_.path() / "models/tiny/1").string());
  EXPECT_THAT(storage_.Tree("models/tiny/1"),
              UnorderedElementsAre("config.json", "model.safetensors", "tokenizer.json",
                                   "tokenizer_config.json"));
  EXPECT_EQ(*Sha256OfFile(model_ / "model.safetensors"),
            *Sha256OfFile(storage_.path() / "models/tiny/1/model.safetensors"));
  EXPECT_EQ(Import("tiny", model_)->checksum(), version->checksum());
  EXPECT_EQ(registry_.Get("tiny")->version(), 2u);
}

TEST_F(RegistryTest, ImportsShards) {
  const auto whole = *SafetensorsFile::Open(model_ / "model.safetensors");
  std::vector<TensorBytes> shards[2];
  nlohmann::json map;
  for (const auto& [name, tensor] : whole->tensors()) {
    const size_t shard = map.size() % 2;
    shards[shard].push_back(
        {name, tensor.dtype, tensor.shape, tensor.data.data(), tensor.data.size()});
    map[name] = shard == 0 ? "a.safetensors" : "b.safetensors";
  }
  ASSERT_TRUE(WriteSafetensors(model_ / "a.safetensors", shards[0]).ok());
  ASSERT_TRUE(WriteSafetensors(model_ / "b.safetensors", shards[1]).ok());
  const uint64_t parameters = Import("whole", model_)->parameters();
  fs::remove(model_ / "model.safetensors");
  storage_.Write("in/tiny/model.safetensors.index.json",
                 nlohmann::json{{"weight_map", map}}.dump());
  Result<v1::ModelVersion> sharded = Import("sharded", model_);
  ASSERT_TRUE(sharded.ok()) << sharded.status().ToString();
  EXPECT_EQ(sharded->parameters(), parameters);
}

// Some exporters store what is tied twice, or under the name of the output projection alone.
TEST_F(RegistryTest, ATiedOutputProjectionMustBeTheEmbedding) {
  const auto whole = *SafetensorsFile::Open(model_ / "model.safetensors");
  const SafetensorsTensor& embedding = whole->tensors().at("model.embed_tokens.weight");
  std::string other(reinterpret_cast<const char*>(embedding.data.data()), embedding.data.size());
  other.back() ^= 1;
  const auto write = [&](const void* head, bool with_embedding) {
    std::vector<TensorBytes> tensors;
    for (const auto& [name, tensor] : whole->tensors()) {
      if (&tensor == &embedding && !with_embedding) continue;
      tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data.data(), tensor.data.size()});
    }
    tensors.push_back({"lm_head.weight", embedding.dtype, embedding.shape, head, other.size()});
    ASSERT_TRUE(WriteSafetensors(model_ / "model.safetensors", tensors).ok());
  };
  write(other.data(), true);
  ExpectRefused(model_,
                "lm_head.weight differs from model.embed_tokens.weight although config.json has "
                "tie_word_embeddings: true; set it to false");
  Configure("tie_word_embeddings", false);
  EXPECT_TRUE(Import("untied", model_).ok());
  Configure("tie_word_embeddings", true);
  for (const bool with_embedding : {true, false}) {
    write(embedding.data.data(), with_embedding);
    const Result<v1::ModelVersion> tied = Import("tied", model_);
    EXPECT_TRUE(tied.ok()) << tied.status().ToString();
  }
}

// As the first files of T5 have them.
TEST_F(RegistryTest, CopiesOfAnEmbeddingMustBeTheEmbedding) {
  const fs::path folder = storage_.path() / "in/t5";
  fs::copy("tests/fixtures/model/t5", folder);
  fs::copy_file(model_ / "tokenizer.json", folder / "tokenizer.json");
  const auto whole = *SafetensorsFile::Open(folder / "model.safetensors");
  const SafetensorsTensor& embedding = whole->tensors().at("shared.weight");
  std::string copy(reinterpret_cast<const char*>(embedding.data.data()), embedding.data.size());
  const auto write = [&] {
    std::vector<TensorBytes> tensors;
    for (const auto& [name, tensor] : whole->tensors()) {
      tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data.data(), tensor.data.size()});
    }
    tensors.push_back({"decoder.embed_tokens.weight", embedding.dtype, embedding.shape, copy.data(),
                       copy.size()});
    ASSERT_TRUE(WriteSafetensors(folder / "model.safetensors", tensors).ok());
  };
  copy.back() ^= 1;
  write();
  ExpectRefused(folder, "decoder.embed_tokens.weight differs from shared.weight");
  copy.back() ^= 1;
  write();
  const Result<v1::ModelVersion> same = Import("same", folder);
  EXPECT_TRUE(same.ok()) << same.status().ToString();
}

// All that the engine decodes, and no other.
TEST_F(RegistryTest, ImportsGgufOfEveryTypeThatTheEngineDecodes) {
  for (const gguf::ElementType& type : gguf::ElementTypes()) {
    const std::string name(type.name);
    const fs::path path =
        storage_.Write("in/some-" + name + ".gguf", TinyGguf{.type = name}.Text());
    if (!type.weights) {
      ExpectRefused(path, "has the type \"" + name + "\"");
      continue;
    }
    Result<v1::ModelVersion> version = Import("quantised", path);
    ASSERT_TRUE(version.ok()) << version.status().ToString();
    EXPECT_EQ(version->format(), "gguf");
    EXPECT_EQ(version->parameters(), 4u * 256 + 3 * 256 + 7 * 256 * 256);
    EXPECT_TRUE(fs::exists(fs::path(version->path()) / "model.gguf"));
    fs::remove_all(storage_.path() / "models");
  }
}

TEST_F(RegistryTest, RefusesWhatIsNoModel) {
  ExpectRefused(storage_.Write("in/file.txt", "x"), "not a .gguf file");
  fs::create_directories(storage_.path() / "in/empty");
  ExpectRefused(storage_.path() / "in/empty", "is no model");
  ExpectRefused("relative/path", "must be absolute");
  EXPECT_EQ(Import("bad", storage_.path() / "absent").status().code(), StatusCode::kNotFound);
  storage_.Write("in/two/a.gguf", "");
  storage_.Write("in/two/b.gguf", "");
  ExpectRefused(storage_.path() / "in/two", "has 2 GGUF files");
  mkfifo((storage_.path() / "in/pipe.gguf").c_str(), 0600);
  ExpectRefused(storage_.path() / "in/pipe.gguf", "neither a folder nor a file");
}

TEST_F(RegistryTest, RefusesIncompleteFolders) {
  fs::rename(model_ / "tokenizer.json", model_ / "t");
  ExpectRefused(model_, "no tokenizer.json");
  fs::rename(model_ / "t", model_ / "tokenizer.json");
  fs::rename(model_ / "model.safetensors", model_ / "m");
  ExpectRefused(model_, "no model.safetensors");
  storage_.Write("in/tiny/pytorch_model.bin", "pickle");
  ExpectRefused(model_, "pickle files can run code");
  storage_.Write("in/tiny/model.safetensors.index.json",
                 R"({"weight_map": {"a": "x.safetensors"}})");
  ExpectRefused(model_, "lacks x.safetensors");
  storage_.Write("in/tiny/model.safetensors.index.json",
                 R"({"weight_map": {"a": "../../x.safetensors"}})");
  ExpectRefused(model_, "not the name of a .safetensors file");
  storage_.Write("in/tiny/model.safetensors.index.json",
                 R"({"weight_map": {"absent": "m.safetensors"}})");
  fs::rename(model_ / "m", model_ / "m.safetensors");
  ExpectRefused(model_, "\"absent\", which no shard has");
}

TEST_F(RegistryTest, RefusesBadConfigurations) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "not valid JSON"},
      {"[]", "not a JSON object"},
      {R"({"a": 1, "a": 2})", "twice"},
      {R"({"model_type": "gpt9"})", "\"gpt9\" is not supported"},
      {R"({"model_type": "llama", "vocab_size": -1})", "vocab_size must be a whole number"},
      {R"({"model_type": "llama", "vocab_size": 9, "hidden_size": 1e99})", "hidden_size must be"},
  };
  for (const auto& [config, reason] : cases) {
    storage_.Write("in/tiny/config.json", config);
    ExpectRefused(model_, reason);
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "[";
  storage_.Write("in/tiny/config.json", "{\"a\":" + deep);
  ExpectRefused(model_, "nested deeper");
}

// What a job could not run is refused here, not in the job.
TEST_F(RegistryTest, RefusesWhatAJobCouldNotRun) {
  Configure("attention_dropout", 0.1);
  ExpectRefused(model_, "attention_dropout other than 0 is not supported");
  Configure("partial_rotary_factor", 0.5);
  ExpectRefused(model_, "partial_rotary_factor other than 1 is not supported");
  Configure("rope_scaling", {{"rope_type", "mrope"}, {"factor", 4}});
  ExpectRefused(model_, "\"mrope\" is not supported");
  Configure("hidden_act", "mish");
  ExpectRefused(model_, "hidden_act is not supported");
  Configure("num_hidden_layers", 3);
  ExpectRefused(model_, "model.safetensors: the tensor model.layers.2.");
  Configure("num_hidden_layers", 1);
  ExpectRefused(model_, "has no place in its configuration");
  Configure("intermediate_size", 48);
  ExpectRefused(model_, "has the shape [32, 64], its configuration wants [32, 48]");
}

TEST_F(RegistryTest, RefusesGgufThatAJobCouldNotRun) {
  auto gguf = [&](const TinyGguf& file) { return storage_.Write("in/a.gguf", file.Text()); };
  ExpectRefused(gguf({.numbers = {{"split.count", 3}}}), "one of 3 parts of a split model");
  ExpectRefused(gguf({.without = "blk.0.attn_k.weight"}),
                "a.gguf: the tensor model.layers.0.self_attn.k_proj.weight is missing");
  ExpectRefused(gguf({.numbers = {{"llama.vocab_size", 9}}}), "its configuration wants [9, 256]");
  EXPECT_TRUE(Import("whole", gguf({.numbers = {{"split.count", 1}}})).ok());
}

TEST_F(RegistryTest, RefusesDamagedWeights) {
  std::string good = *ReadFile(model_ / "model.safetensors");
  storage_.Write("in/tiny/model.safetensors", good.substr(0, good.size() - 1));
  ExpectRefused(model_, (model_ / "model.safetensors").string());
  storage_.Write("in/tiny/model.safetensors", std::string(8, '\xff') + good.substr(8));
  ExpectRefused(model_, (model_ / "model.safetensors").string());
  storage_.Write("in/tiny/model.safetensors", "");
  ExpectRefused(model_, (model_ / "model.safetensors").string());

  std::string gguf = TinyGguf{}.Text();
  ExpectRefused(storage_.Write("in/a.gguf", gguf.substr(0, gguf.size() - 1)), "a.gguf");
  ExpectRefused(storage_.Write("in/a.gguf", "not a model"), "a.gguf");
  ExpectRefused(storage_.Write("in/a.gguf", TinyGguf{.architecture = "falcon"}.Text()),
                "\"falcon\" is not supported");
  ExpectRefused(storage_.Write("in/a.gguf", TinyGguf{.tokens = 0}.Text()), "has no tokenizer");
}

TEST_F(RegistryTest, RefusesATokenizerOfAnotherModel) {
  storage_.Write("in/tiny/tokenizer.json", testing::TinyTokenizerJson(258));
  ExpectRefused(model_, (model_ / "tokenizer.json").string() +
                            ": the tokenizer has 517 tokens, the model's vocabulary 260");
  // Added tokens without a row of the embedding are common.
  storage_.Write("in/tiny/tokenizer.json", testing::TinyTokenizerJson(257));
  EXPECT_TRUE(Import("spare", model_).ok());
  fs::remove_all(storage_.path() / "models");

  const std::map<std::string, uint32_t> rows = {{"llama.vocab_size", 4}};
  auto gguf = [&](uint64_t tokens) {
    return storage_.Write("in/a.gguf", TinyGguf{.tokens = tokens, .numbers = rows}.Text());
  };
  ExpectRefused(gguf(261), "a.gguf: the tokenizer has 261 tokens, the model's vocabulary 4");
  EXPECT_TRUE(Import("spare", gguf(260)).ok());
}

TEST_F(RegistryTest, AdapterNeedsItsBase) {
  fs::path adapter = Adapter("someone/else");
  Result<v1::ModelVersion> orphan = Import("bad", adapter);
  EXPECT_EQ(orphan.status().field(), "base");
  EXPECT_THAT(orphan.status().message(), HasSubstr("someone/else"));
  EXPECT_EQ(Import("bad", adapter, "absent").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(storage_.Tree("models"), IsEmpty());

  ASSERT_TRUE(Import("tiny", model_).ok());
  Result<v1::ModelVersion> version = Import("tuned", adapter, "tiny");
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->format(), "peft-adapter");
  EXPECT_EQ(version->made_for(), "someone/else") << "shapes do not tell weights apart";
  EXPECT_EQ(Import("own", Adapter("someone/Tiny"), "tiny")->made_for(), "");
  EXPECT_EQ(version->base(), "tiny@1");
  EXPECT_EQ(version->architecture(), "llama");
  EXPECT_EQ(version->parameters(), 2u * 2 * 2 * 32);
  EXPECT_EQ(Import("tuned", Adapter("tiny@1"))->base(), "tiny@1");
  EXPECT_THAT(Import("bad", adapter, "tuned").status().message(),
              HasSubstr("is an adapter itself"));
  EXPECT_EQ(Import("bad", model_, "tiny").status().field(), "base");
}

TEST_F(RegistryTest, AnAdapterWhoseBaseIsPrunedMeanwhileIsRefused) {
  ASSERT_TRUE(Import("tiny", model_).ok() && Import("tiny", model_).ok());
  v1::ImportModelRequest request;
  request.set_name("tuned");
  request.set_path(Adapter("tiny@1"));
  const auto pruning = [&](const char* phase, uint64_t, uint64_t) -> Status {
    v1::PruneModelsRequest prune;
    prune.set_model("tiny");
    prune.set_keep(1);
    if (std::string_view(phase) != "checking") return Status();
    return registry_.Prune(prune, "user:alice").status();
  };
  const Status refused = registry_.Import(request, pruning).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << refused.ToString();
  EXPECT_THAT(refused.message(), HasSubstr("the files of tiny@1 were removed"));
  EXPECT_EQ(Import("tuned", Adapter("tiny@1")).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(registry_.Get("tuned").status().code(), StatusCode::kNotFound);
}

TEST_F(RegistryTest, RefusesAnAdapterThatDoesNotFitItsBase) {
  ASSERT_TRUE(Import("tiny", model_).ok());
  const fs::path adapter = Adapter("tiny");
  auto refused = [&](const std::string& reason) {
    Result<v1::ModelVersion> version = Import("bad", adapter);
    EXPECT_EQ(version.status().field(), "path");
    EXPECT_THAT(version.status().message(), HasSubstr(reason));
    EXPECT_THAT(version.status().message(), HasSubstr(adapter.string()));
    EXPECT_FALSE(fs::exists(storage_.path() / "models/bad/1"));
  };
  auto configure = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json config = nlohmann::json::parse(*ReadFile(adapter / "adapter_config.json"));
    config[key] = value;
    storage_.Write("in/adapter/adapter_config.json", config.dump());
  };
  WriteAdapterTensors(3);
  refused("has the shape [3, 32], its configuration wants [2, 32]");
  WriteAdapterTensors(2);
  configure("target_modules", {"q_proj", "v_proj"});
  refused("v_proj.lora_A.weight is missing");
  configure("target_modules", {"q_proj", "lm_head"});
  refused("lm_head cannot have A and B");
  configure("target_modules", {"q_proj"});
  configure("init_lora_weights", "pissa_niter_4");
  refused("init_lora_weights = \"pissa_niter_4\" changes the base's weights");
  configure("init_lora_weights", "gaussian");
  configure("modules_to_save", {"embed_tokens"});
  refused("modules_to_save name one of them unties them");
  configure("modules_to_save", nullptr);
  EXPECT_TRUE(Import("good", adapter).ok());
}

TEST_F(RegistryTest, ImportsAPromptThatFitsItsBase) {
  ASSERT_TRUE(Import("tiny", model_).ok());
  const fs::path adapter = Adapter("tiny");
  const std::vector<float> zeros(size_t{4} * 32);
  const auto write = [&](int64_t rows) {
    const size_t bytes = static_cast<size_t>(rows) * 32 * sizeof(float);
    const std::vector<TensorBytes> tensors = {
        {"prompt_embeddings", "F32", {rows, 32}, zeros.data(), bytes}};
    ASSERT_TRUE(WriteSafetensors(adapter / "adapter_model.safetensors", tensors).ok());
    const nlohmann::json config = {{"peft_type", "PROMPT_TUNING"},
                                   {"num_virtual_tokens", 3},
                                   {"base_model_name_or_path", "tiny"}};
    storage_.Write("in/adapter/adapter_config.json", config.dump());
  };
  write(4);
  EXPECT_THAT(Import("bad", adapter).status().message(),
              HasSubstr("has the shape [4, 32], its configuration wants [3, 32]"));
  write(3);
  const Result<v1::ModelVersion> version = Import("prompt", adapter);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->base(), "tiny@1");
  EXPECT_EQ(version->parameters(), 96u);
}

TEST_F(RegistryTest, SameRequestTwiceIsOneVersion) {
  EXPECT_EQ(Import("tiny", model_, "", "r1")->version(), 1u);
  EXPECT_EQ(Import("tiny", model_, "", "r1")->version(), 1u);
  EXPECT_EQ(Import("other", model_, "", "r1").status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Import("tiny", model_, "", "r2")->version(), 2u);
}

class OutputTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    output_ = storage_.path() / "runs/job-1/output";
    ASSERT_TRUE(testing::WriteTinyLlama(output_).ok());
    lineage_.set_job_id("job-1");
    lineage_.set_base("tiny@1");
    lineage_.add_datasets("docs@2");
  }

  Result<v1::ModelVersion> Register(const PreparedOutput& prepared) {
    v1::ModelVersion version;
    ATTUNE_RETURN_IF_ERROR(storage_.database()->Write([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(version, registry_.RegisterOutput(transaction, prepared));
      return Status();
    }));
    return version;
  }

  fs::path output_;
  v1::Lineage lineage_;
};

TEST_F(OutputTest, RegistersOnceAndMoves) {
  Result<PreparedOutput> prepared =
      registry_.PrepareOutput("tuned", output_, lineage_, {{"loss", 2.5}});
  ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
  Result<v1::ModelVersion> version = Register(*prepared);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->version(), 1u);
  EXPECT_EQ(Register(*prepared)->version(), 1u);
  EXPECT_EQ(registry_.Get("tuned")->path(), output_.string());

  ASSERT_TRUE(registry_.PlaceOutput(*version).ok());
  ASSERT_TRUE(registry_.PlaceOutput(*version).ok());
  Result<v1::ModelVersion> placed = registry_.Get("tuned@1");
  EXPECT_EQ(placed->path(), (storage_.path() / "models/tuned/1").string());
  EXPECT_TRUE(fs::exists(fs::path(placed->path()) / "model.safetensors"));
  EXPECT_FALSE(fs::exists(output_));
  EXPECT_EQ(placed->lineage().datasets(0), "docs@2");
  EXPECT_NE(placed->lineage().code_version(), "");
  EXPECT_EQ(placed->metrics().at("loss"), 2.5);
}

TEST_F(OutputTest, CrashBetweenCommitAndMoveLosesNothing) {
  Result<PreparedOutput> prepared = registry_.PrepareOutput("tuned", output_, lineage_, {});
  ASSERT_TRUE(prepared.ok());
  ASSERT_TRUE(Register(*prepared).ok());
  storage_.Reopen();
  Registry restarted(storage_.database(), storage_.path());
  ASSERT_TRUE(restarted.Reconcile().ok());
  EXPECT_EQ(restarted.Get("tuned")->path(), (storage_.path() / "models/tuned/1").string());
  EXPECT_TRUE(fs::exists(storage_.path() / "models/tuned/1/config.json"));
}

TEST_F(OutputTest, RolledBackRegistrationLeavesTheOutput) {
  Result<PreparedOutput> prepared = registry_.PrepareOutput("tuned", output_, lineage_, {});
  ASSERT_TRUE(prepared.ok());
  Status status = storage_.database()->Write([&](Transaction& transaction) -> Status {
    ATTUNE_RETURN_IF_ERROR(registry_.RegisterOutput(transaction, *prepared).status());
    return Internal("something else failed");
  });
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(registry_.Get("tuned").status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(fs::exists(output_ / "model.safetensors"));
}

TEST_F(OutputTest, RefusesADamagedOutput) {
  storage_.Write("runs/job-1/output/model.safetensors", "x");
  EXPECT_EQ(registry_.PrepareOutput("tuned", output_, lineage_, {}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(registry_.PrepareOutput("tuned", output_ / "absent", lineage_, {}).status().code(),
            StatusCode::kNotFound);
}

TEST(CopyFile, CopiesAllBytesAndRefusesPipes) {
  TemporaryStorage storage;
  std::string content(3 << 20, 'x');
  fs::path from = storage.Write("from", content);
  EXPECT_EQ(*CopyFile(from, storage.path() / "to"), content.size());
  EXPECT_EQ(*ReadFile(storage.path() / "to"), content);
  EXPECT_FALSE(CopyFile(from, storage.path() / "to").ok());
  mkfifo((storage.path() / "pipe").c_str(), 0600);
  EXPECT_EQ(CopyFile(storage.path() / "pipe", storage.path() / "x").status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(storage.path() / "x"));
}

}  // namespace
}  // namespace attune::models
