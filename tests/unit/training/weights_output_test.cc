#include "worker/engine/tasks/weights_output.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

NamedTensors SomeTensors() {
  return {{"embed", at::arange(32, at::kFloat).view({8, 4})},
          {"norm", at::arange(4, at::kFloat) / 3},
          {"head", at::arange(32, at::kFloat).view({8, 4}) / 7}};
}

void ExpectEqual(const fs::path& folder, at::ScalarType dtype) {
  const auto source = OpenWeights(folder);
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  ASSERT_EQ((*source)->tensors().size(), 3u);
  for (const auto& [name, tensor] : SomeTensors()) {
    at::Tensor got = at::empty(tensor.sizes(), at::kFloat);
    ASSERT_TRUE(
        (*source)
            ->ReadFloat(name, {got.mutable_data_ptr<float>(), static_cast<size_t>(got.numel())})
            .ok());
    EXPECT_TRUE(at::equal(got, tensor.to(dtype).to(at::kFloat))) << name;
  }
}

TEST(WriteWeights, WritesOneFileInEveryDtype) {
  for (const auto& [name, type] :
       {std::pair("float32", at::kFloat), std::pair("bfloat16", at::kBFloat16),
        std::pair("float16", at::kHalf)}) {
    TemporaryFolder folder;
    const Status status = WriteWeights(folder.path(), OutputOf(SomeTensors()), name);
    ASSERT_TRUE(status.ok()) << status.ToString();
    ExpectEqual(folder.path(), type);
    EXPECT_EQ(DtypeOf((*OpenWeights(folder.path()))->tensors()), name);
  }
  TemporaryFolder folder;
  EXPECT_EQ(WriteWeights(folder.path(), OutputOf(SomeTensors()), "int8").field(), "dtype");
}

// As transformers splits: in order, by size, and an index of all.
TEST(WriteWeights, SplitsWhatIsTooLargeForOneFile) {
  TemporaryFolder folder;
  // 64, 8 and 64 bytes.
  const Status status =
      WriteWeights(folder.path(), OutputOf(SomeTensors()), "bfloat16", /*shard_bytes=*/72);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ExpectEqual(folder.path(), at::kBFloat16);
  const json index = json::parse(*ReadFile(folder.path() / "model.safetensors.index.json"));
  EXPECT_EQ(index.at("metadata"), json({{"total_parameters", 68}, {"total_size", 136}}));
  const char* first = "model-00001-of-00002.safetensors";
  const char* second = "model-00002-of-00002.safetensors";
  EXPECT_EQ(index.at("weight_map"), json({{"embed", first}, {"norm", first}, {"head", second}}));
  EXPECT_FALSE(fs::exists(folder.path() / "model.safetensors"));
}

}  // namespace
}  // namespace attune::engine
