// Weights in 4 bits against bitsandbytes: codes, magnitudes and scales are its, and so is what
// comes out of them.

#include "common/safetensors/safetensors.h"
#include "tests/parity/model/fixture.h"
#include "worker/engine/kernels/nf4.h"

namespace attune::engine {
namespace {

// A tensor of tests/fixtures/model/nf4.safetensors, whatever its type.
at::Tensor Reference(const std::string& name) {
  const auto file = SafetensorsFile::Open("tests/fixtures/model/nf4.safetensors").value();
  const SafetensorsTensor& tensor = file->tensors().at(name);
  const auto type = tensor.dtype == "U8" ? at::kByte : at::kFloat;
  return at::from_blob(const_cast<std::byte*>(tensor.data.data()), tensor.shape, type).clone();
}

class Nf4Parity : public testing::TestWithParam<std::string> {};

TEST_P(Nf4Parity, IsBitsAndBytes) {
  const std::string name = GetParam() + ".";
  const at::Tensor weight = Reference(name + "weight");
  const kernels::Nf4 nf4 = kernels::QuantizeNf4(weight);
  EXPECT_TRUE(at::equal(nf4.codes, Reference(name + "codes")));
  EXPECT_TRUE(at::equal(nf4.magnitudes, Reference(name + "magnitudes")));
  EXPECT_LT(AbsoluteError(nf4.scales, Reference(name + "scales")), 1e-7);
  EXPECT_NEAR(nf4.mean, Reference(name + "mean").item<float>(), 1e-7);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor again = at::empty(weight.sizes(), type);
    kernels::DequantizeNf4(nf4, again);
    const at::Tensor expected = Reference(name + "again").to(type).to(at::kFloat);
    EXPECT_LT(AbsoluteError(again.to(at::kFloat), expected), type == at::kFloat ? 1e-6 : 1e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Nf4Parity, testing::Values("even", "blocks", "odd"));

TEST(Nf4ModelParity, LogitsAreThoseOfTheQuantisedModel) {
  const auto examples = ReadJson(FixtureFolder("default") / "expected.json")["examples"]
                            .get<std::vector<nlohmann::json>>();
  const PackedBatch batch = Pack(examples);
  const auto model = LoadFixture("default", {.frozen = true, .nf4 = true});
  const at::Tensor rows = at::arange(batch.tokens.size(0), at::kLong);
  EXPECT_LT(AbsoluteError(model->Logits(batch, rows), Reference("default.logits")), 1e-4);
}

}  // namespace
}  // namespace attune::engine
