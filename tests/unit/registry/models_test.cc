#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/safetensors/safetensors.h"
#include "coordinator/models/copy.h"
#include "coordinator/models/inspect.h"
#include "coordinator/models/registry.h"
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

// Its vocabulary has 4 rows; without tokens it has no tokenizer.
std::string TinyGguf(std::string_view architecture = "llama", uint64_t tokens = 4) {
  gguf::Bytes bytes;
  bytes.Header(1, tokens > 0 ? 2 : 1);
  bytes.Key("general.architecture", gguf::ValueType::kString).String(architecture);
  if (tokens > 0) {
    bytes.Key("tokenizer.ggml.tokens", gguf::ValueType::kArray);
    bytes.Add<uint32_t>(8).Add<uint64_t>(tokens);
    for (uint64_t i = 0; i < tokens; ++i) bytes.String("t" + std::to_string(i));
  }
  bytes.TensorInfo("token_embd.weight", {8, 4}, 0, 0).Pad().Zeros(128);
  return bytes.text();
}

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = storage_.path() / "in/tiny";
    ASSERT_TRUE(testing::WriteTinyLlama(model_).ok());
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
    float zeros[16] = {};
    fs::path folder = storage_.path() / "in/adapter";
    fs::create_directories(folder);
    EXPECT_TRUE(WriteSafetensors(folder / "adapter_model.safetensors",
                                 {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                   "F32",
                                   {2, 8},
                                   zeros,
                                   sizeof zeros}})
                    .ok());
    nlohmann::json config = {{"peft_type", "LORA"},
                             {"r", 2},
                             {"lora_alpha", 4},
                             {"target_modules", {"q_proj"}},
                             {"base_model_name_or_path", base}};
    storage_.Write("in/adapter/adapter_config.json", config.dump());
    return folder;
  }

  TemporaryStorage storage_;
  Registry registry_{storage_.database(), storage_.path()};
  fs::path model_;
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

TEST_F(RegistryTest, ImportsShardsAndGguf) {
  float ones[4] = {1, 1, 1, 1};
  for (const char* part : {"a", "b"}) {
    ASSERT_TRUE(WriteSafetensors(model_ / (std::string(part) + ".safetensors"),
                                 {{part, "F32", {4}, ones, 16}})
                    .ok());
  }
  fs::remove(model_ / "model.safetensors");
  storage_.Write("in/tiny/model.safetensors.index.json",
                 R"({"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}})");
  Result<v1::ModelVersion> sharded = Import("sharded", model_);
  ASSERT_TRUE(sharded.ok()) << sharded.status().ToString();
  EXPECT_EQ(sharded->parameters(), 8u);

  fs::path gguf = storage_.Write("in/some-Q4.gguf", TinyGguf());
  Result<v1::ModelVersion> version = Import("quantised", gguf);
  ASSERT_TRUE(version.ok()) << version.status().ToString();
  EXPECT_EQ(version->format(), "gguf");
  EXPECT_EQ(version->parameters(), 32u);
  EXPECT_THAT(storage_.Tree("models/quantised/1"), UnorderedElementsAre("model.gguf"));
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
      {R"({"model_type": "gpt9"})", "model_type \"gpt9\" is not supported"},
      {R"({"model_type": "llama", "vocab_size": -1})", "vocab_size must be a positive integer"},
      {R"({"model_type": "llama", "vocab_size": 1, "hidden_size": 1e99})", "hidden_size must be"},
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

TEST_F(RegistryTest, RefusesDamagedWeights) {
  std::string good = *ReadFile(model_ / "model.safetensors");
  storage_.Write("in/tiny/model.safetensors", good.substr(0, good.size() - 1));
  ExpectRefused(model_, (model_ / "model.safetensors").string());
  storage_.Write("in/tiny/model.safetensors", std::string(8, '\xff') + good.substr(8));
  ExpectRefused(model_, (model_ / "model.safetensors").string());
  storage_.Write("in/tiny/model.safetensors", "");
  ExpectRefused(model_, (model_ / "model.safetensors").string());

  std::string gguf = TinyGguf();
  ExpectRefused(storage_.Write("in/a.gguf", gguf.substr(0, gguf.size() - 1)), "a.gguf");
  ExpectRefused(storage_.Write("in/a.gguf", "not a model"), "a.gguf");
  ExpectRefused(storage_.Write("in/a.gguf", TinyGguf("falcon")), "\"falcon\" is not supported");
  ExpectRefused(storage_.Write("in/a.gguf", TinyGguf("llama", 0)), "has no tokenizer");
}

TEST_F(RegistryTest, RefusesATokenizerOfAnotherModel) {
  nlohmann::json config = nlohmann::json::parse(*ReadFile(model_ / "config.json"));
  config["vocab_size"] = 2;
  storage_.Write("in/tiny/config.json", config.dump());
  ExpectRefused(model_, (model_ / "tokenizer.json").string() +
                            ": the tokenizer has 259 tokens, the model's vocabulary 2");
  config["vocab_size"] = 3;  // added tokens without a row of the embedding are common
  storage_.Write("in/tiny/config.json", config.dump());
  EXPECT_TRUE(Import("spare", model_).ok());
  fs::remove_all(storage_.path() / "models");

  ExpectRefused(storage_.Write("in/a.gguf", TinyGguf("llama", 261)),
                "a.gguf: the tokenizer has 261 tokens, the model's vocabulary 4");
  EXPECT_TRUE(Import("spare", storage_.Write("in/a.gguf", TinyGguf("llama", 260))).ok());
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
  EXPECT_EQ(version->base(), "tiny@1");
  EXPECT_EQ(version->architecture(), "llama");
  EXPECT_EQ(version->parameters(), 16u);
  EXPECT_EQ(Import("tuned", Adapter("tiny@1"))->base(), "tiny@1");
  EXPECT_THAT(Import("bad", adapter, "tuned").status().message(),
              HasSubstr("is an adapter itself"));
  EXPECT_EQ(Import("bad", model_, "tiny").status().field(), "base");
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
