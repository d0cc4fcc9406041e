#include "common/spec/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/spec/json.h"
#include "common/spec/schema.h"

namespace attune::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kLeast[] = "base: smollm2\ndataset: docs\nmethod: lora\n";

v1::JobSpec Parsed(const std::string& text, const std::vector<std::string>& overrides = {}) {
  auto spec = ParseJobSpec(text, "job.yaml", overrides);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  return spec.ok() ? *spec : v1::JobSpec();
}

Status ErrorOf(const std::string& text, const std::vector<std::string>& overrides = {}) {
  auto spec = ParseJobSpec(text, "job.yaml", overrides);
  return spec.ok() ? Status() : spec.status();
}

TEST(ParseJobSpec, LeastSpecGetsEveryDefault) {
  v1::JobSpec spec = Parsed(kLeast);
  EXPECT_EQ(spec.name(), "smollm2-lora");
  EXPECT_EQ(spec.register_().model(), "smollm2-lora");
  EXPECT_EQ(spec.method().rank(), 16u);
  EXPECT_THAT(spec.method().target_modules(), ElementsAre("all-linear"));
  EXPECT_EQ(spec.ranks().min(), 1u);
  EXPECT_EQ(spec.ranks().max(), 1u);
  EXPECT_EQ(spec.datasets(0).name(), "docs");
  EXPECT_EQ(spec.datasets(0).weight(), 1);
  EXPECT_EQ(spec.train().sequence_length(), 1024u);
  EXPECT_TRUE(spec.train().packing());
  EXPECT_EQ(spec.train().loss_on(), "targets");
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 2e-4);
  EXPECT_THAT(spec.optimizer().betas(), ElementsAre(0.9, 0.999));
  EXPECT_EQ(spec.retry().max_restarts(), 3u);
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

// What is said to end a run is not ended by a first epoch that nobody asked for.
TEST(ParseJobSpec, StepsOrTokensLeaveTheEpochsOpen) {
  EXPECT_EQ(Parsed(kLeast).train().epochs(), 1);
  EXPECT_EQ(Parsed(kLeast, {"train.max_steps=40"}).train().epochs(), 10000);
  EXPECT_EQ(Parsed(kLeast, {"train.max_tokens=1000"}).train().epochs(), 10000);
  EXPECT_EQ(Parsed(kLeast, {"train.max_steps=40", "train.epochs=2"}).train().epochs(), 2);
  EXPECT_EQ(Parsed(kLeast, {"train.max_seconds=60"}).train().epochs(), 1);
}

TEST(ParseJobSpec, FullHasItsOwnLearningRateAndNoAdapterFields) {
  v1::JobSpec spec = Parsed("base: m\ndataset: d\nmethod: {type: full}\n");
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 2e-5);
  EXPECT_EQ(spec.method().rank(), 0u);
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

TEST(ParseJobSpec, ShortFormsAndLists) {
  v1::JobSpec spec = Parsed(
      "name: j\nbase: m@3\ndataset: [{name: a, weight: 3}, {name: b@2}, c]\nmethod: lora\nranks: "
      "2\n"
      "register: out\ntrain: {global_batch: 8}\n");
  EXPECT_EQ(spec.ranks().min(), 2u);
  EXPECT_EQ(spec.ranks().max(), 2u);
  EXPECT_EQ(spec.register_().model(), "out");
  ASSERT_EQ(spec.datasets_size(), 3);
  EXPECT_EQ(spec.datasets(0).weight(), 3);
  EXPECT_EQ(spec.datasets(1).name(), "b@2");
  EXPECT_EQ(spec.datasets(2).name(), "c");
}

TEST(ParseJobSpec, WhatAnAdapterIsMadeOf) {
  const std::string start = "base: m\ndataset: d\nmethod: {type: lora, ";
  const v1::JobSpec spec =
      Parsed(start +
             "layers: [0, 11], dora: true, bias: all, modules_to_save: [embed_tokens, lm_head]}\n");
  EXPECT_TRUE(spec.method().dora());
  EXPECT_EQ(spec.method().bias(), "all");
  EXPECT_THAT(spec.method().layers(), ElementsAre(0u, 11u));
  EXPECT_THAT(spec.method().modules_to_save(), ElementsAre("embed_tokens", "lm_head"));
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
  EXPECT_THAT(ErrorOf(start + "layers: [1.5]}\n").message(), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf(start + "modules_to_save: [a b]}\n").message(),
              HasSubstr("'a b' is no module's name"));
  EXPECT_THAT(ErrorOf("base: m\ndataset: d\nmethod: {type: full, layers: [0]}\n").message(),
              HasSubstr("method.layers"));
}

TEST(ParseJobSpec, SharesTakeThePlaceOfWeights) {
  v1::JobSpec spec = Parsed(
      "base: m\nmethod: lora\ndataset: [{name: live}, {name: old, share: 0.3}, {name: b, share: "
      "0.1}]\n");
  ASSERT_EQ(spec.datasets_size(), 3);
  EXPECT_EQ(spec.datasets(0).weight(), 1);
  EXPECT_EQ(spec.datasets(0).share(), 0);
  EXPECT_EQ(spec.datasets(1).weight(), 0);
  EXPECT_DOUBLE_EQ(spec.datasets(1).share(), 0.3);
  EXPECT_TRUE(ValidateJobSpec(spec).ok());
}

TEST(ParseJobSpec, RegularizeHasDefaultsByType) {
  EXPECT_EQ(Parsed(kLeast).regularize().type(), "none");
  EXPECT_EQ(Parsed(kLeast).regularize().strength(), 0);
  v1::JobSpec l2 = Parsed(std::string(kLeast) + "regularize: l2-sp\n");
  EXPECT_EQ(l2.regularize().type(), "l2-sp");
  EXPECT_DOUBLE_EQ(l2.regularize().strength(), 0.01);
  EXPECT_EQ(l2.regularize().fisher_examples(), 0u);
  v1::JobSpec ewc = Parsed(std::string(kLeast) + "regularize: {type: ewc, fisher_examples: 9}\n");
  EXPECT_DOUBLE_EQ(ewc.regularize().strength(), 100);
  EXPECT_EQ(ewc.regularize().fisher_examples(), 9u);
  EXPECT_TRUE(ValidateJobSpec(ewc).ok());
}

// As clients of before there was the section send it, and as their jobs are stored.
TEST(ParseJobSpec, OptimizersHaveDefaultsOfTheirOwn) {
  auto optimizer = [](const std::string& name, const std::string& method) {
    return Parsed("base: m\ndataset: d\nmethod: " + method + "\noptimizer: {name: " + name + "}\n")
        .optimizer();
  };
  const auto lion = optimizer("lion", "full");
  EXPECT_THAT(lion.betas(), ElementsAre(0.9, 0.99));
  EXPECT_DOUBLE_EQ(lion.learning_rate(), 5e-6);
  EXPECT_EQ(lion.epsilon(), 0);
  const auto sgd = optimizer("sgd", "lora");
  EXPECT_EQ(sgd.betas_size(), 0);
  EXPECT_DOUBLE_EQ(sgd.momentum(), 0.9);
  EXPECT_DOUBLE_EQ(sgd.learning_rate(), 1e-2);
  const v1::JobSpec preferring = Parsed(kLeast, {"task=preference"});
  EXPECT_DOUBLE_EQ(preferring.optimizer().learning_rate(), 1e-5);
  EXPECT_DOUBLE_EQ(optimizer("adamw-8bit", "full").learning_rate(), 2e-5);
  EXPECT_EQ(optimizer("adafactor", "full").betas_size(), 0);
}

TEST(ValidateJobSpec, TakesASpecWithoutRegularize) {
  v1::JobSpec spec = Parsed(kLeast);
  spec.clear_regularize();
  EXPECT_TRUE(ValidateJobSpec(spec).ok()) << ValidateJobSpec(spec).message();
  EXPECT_EQ(Parsed(ToYaml(spec)).regularize().type(), "none") << ToYaml(spec);
}

TEST(ParseJobSpec, OverridesWin) {
  v1::JobSpec spec = Parsed(
      std::string(kLeast) + "train: {epochs: 1}\n",
      {"train.epochs=3", "optimizer.betas=[0.8, 0.9]", "ranks={min: 1, max: 4}", "name=other"});
  EXPECT_EQ(spec.train().epochs(), 3);
  EXPECT_THAT(spec.optimizer().betas(), ElementsAre(0.8, 0.9));
  EXPECT_EQ(spec.ranks().max(), 4u);
  EXPECT_EQ(spec.name(), "other");
}

TEST(ParseJobSpec, UnknownKeyNamesTheNearest) {
  Status status = ErrorOf(std::string(kLeast) + "train:\n  epoch: 3\n");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.field(), "train.epoch");
  EXPECT_EQ(status.message(),
            "job.yaml:5:3: unknown key 'epoch' in train; did you mean 'epochs'?\n"
            "    5 |   epoch: 3\n      |   ^~~~~");
}

TEST(ParseJobSpec, KeyInTheWrongSectionNamesTheRightOne) {
  EXPECT_THAT(ErrorOf(std::string(kLeast) + "learning_rate: 1e-4\n").message(),
              HasSubstr("did you mean 'optimizer.learning_rate'?"));
}

struct BadCase {
  const char* text;
  const char* message;
};
class ParseJobSpecBad : public ::testing::TestWithParam<BadCase> {};

TEST_P(ParseJobSpecBad, IsNamed) {
  Status status = ErrorOf(std::string(kLeast) + GetParam().text);
  EXPECT_THAT(status.message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, ParseJobSpecBad,
    ::testing::Values(
        BadCase{"train: {epochs: many}\n", "job.yaml:4:17: train.epochs must be a number"},
        BadCase{"train: {packing: yes}\n", "train.packing must be true or false, not 'yes'"},
        BadCase{"train: 3\n", "train must be a section"},
        BadCase{"train: {precision: fp8}\n",
                "train.precision must be float32 or bfloat16, not 'fp8'"},
        BadCase{"train: {sequence_length: 4}\n", "from 8 to 1048576, not '4'"},
        BadCase{"train: {sequence_length: -4}\n", "from 8 to 1048576, not '-4'"},
        BadCase{"ranks: 0\n", "ranks must be a whole number from 1 to 1024, not '0'"},
        BadCase{"ranks: {min: 4, max: 2}\n", "ranks.max (2) is less than ranks.min (4)"},
        BadCase{"ranks: 32\n", "train.global_batch (16) is less than ranks.max (32)"},
        BadCase{"train: {micro_batch: 32}\n", "train.micro_batch (32) is more than"},
        BadCase{"name: Has Spaces\n", "job.yaml:4:7: 'Has Spaces' cannot be a job's name"},
        BadCase{"name: ../up\n", "cannot be a job's name"},
        BadCase{"register: a/b\n", "'a/b' cannot be a model's name"},
        BadCase{"optimizer: {betas: [0.9]}\n", "optimizer.betas must be two numbers"},
        BadCase{"optimizer: {betas: [0.9, 1.5]}\n", "each is a number from 0 to"},
        BadCase{"optimizer: {name: adam}\n",
                "optimizer.name must be adamw, adamw-8bit, adafactor, sgd or lion, not 'adam'"},
        BadCase{"train: {max_steps: 5}\noptimizer: {warmup_steps: 9}\n",
                "warmup_steps (9) is more than"},
        BadCase{"regularize: l3\n", "regularize.type must be none, l2-sp or ewc, not 'l3'"},
        BadCase{"regularize: {strength: 1}\n",
                "regularize.strength means something only with regularize.type l2-sp or ewc: "
                "remove it or change regularize.type"},
        BadCase{"regularize: {type: l2-sp, fisher_examples: 4}\n",
                "regularize.fisher_examples means something only with regularize.type ewc"},
        BadCase{"regularize: {type: ewc, strength: 0}\n", "regularize.strength must be"},
        BadCase{"base: other\n", "duplicate key 'base': it is set on line 1"}));

TEST(ParseJobSpec, MissingKeysAreAllNamed) {
  Status status = ErrorOf("name: x\n");
  EXPECT_THAT(status.message(), HasSubstr("missing key 'base', which is required"));
  EXPECT_THAT(status.message(), HasSubstr("missing key 'dataset', which is required"));
  EXPECT_THAT(status.message(), HasSubstr("missing key 'method.type', which is required"));
}

TEST(ParseJobSpec, PromptsAreTunedWithKeysOfTheirOwn) {
  const std::string start = "base: m\ndataset: d\nmethod: ";
  const v1::JobSpec least = Parsed(start + "prompt-tuning\n");
  EXPECT_EQ(least.method().virtual_tokens(), 20u);
  EXPECT_EQ(least.method().init_text(), "");
  EXPECT_EQ(least.method().rank(), 0u);
  EXPECT_EQ(least.optimizer().learning_rate(), 1e-2);
  EXPECT_EQ(least.name(), "m-prompt-tuning");
  const std::string text = "{type: prompt-tuning, virtual_tokens: 8, init_text: \"Be: brief\"}\n";
  const v1::JobSpec spec = Parsed(start + text);
  EXPECT_EQ(spec.method().virtual_tokens(), 8u);
  EXPECT_EQ(spec.method().init_text(), "Be: brief");
  EXPECT_TRUE(ValidateJobSpec(spec).ok() && ValidateJobSpec(least).ok());
  for (const v1::JobSpec& each : {spec, least}) {
    EXPECT_EQ(ToJsonText(Parsed(ToYaml(each))), ToJsonText(each)) << ToYaml(each);
  }
  EXPECT_THAT(ErrorOf(start + "{type: prompt-tuning, rank: 8}\n").message(),
              HasSubstr("method.rank means something only with method.type lora"));
  EXPECT_THAT(ErrorOf(start + "{type: lora, virtual_tokens: 8}\n").message(),
              HasSubstr("method.virtual_tokens means something only with method.type prompt"));
  EXPECT_THAT(ErrorOf(start + "{type: prompt-tuning, virtual_tokens: 0}\n").message(),
              HasSubstr("1 to 4096"));
  for (const std::string task : {"preference", "causal-lm"}) {
    Parsed(start + "prompt-tuning\ntask: " + task + "\n");
  }
  for (const std::string task : {"embedding", "classification", "masked-lm", "seq2seq"}) {
    const Status status = ErrorOf(start + "prompt-tuning\ntask: " + task + "\n");
    EXPECT_EQ(status.field(), "method.type") << task;
    EXPECT_THAT(status.message(), HasSubstr("preference, not '" + task));
  }
}

TEST(ParseJobSpec, AdapterKeysWithFullAreRefused) {
  EXPECT_THAT(ErrorOf("base: m\ndataset: d\nmethod: {type: full, rank: 8}\n").message(),
              HasSubstr("job.yaml:3:28: method.rank means something only with method.type lora"));
}

TEST(ParseJobSpec, DatasetErrorsPointToTheItem) {
  const char* text =
      "base: m\nmethod: lora\ndataset:\n  - {name: a, wait: 1}\n  - {weight: 2}\n  - [x]\n";
  Status status = ErrorOf(text);
  EXPECT_THAT(status.message(), HasSubstr("job.yaml:4:15: unknown key 'wait' in dataset[0]"));
  EXPECT_THAT(status.message(), HasSubstr("missing key 'name' in dataset[1]"));
  EXPECT_THAT(status.message(),
              HasSubstr("dataset[2] must be a data set's name or {name, weight}"));
  EXPECT_THAT(ErrorOf("base: m\nmethod: lora\ndataset: [a, a]\n").message(),
              HasSubstr("listed twice"));
  EXPECT_THAT(ErrorOf("base: m\nmethod: lora\ndataset: []\n").message(), HasSubstr("required"));
}

TEST(ParseJobSpec, SharesThatCannotBeAreNamed) {
  const std::string start = "base: m\nmethod: lora\ndataset: [";
  const std::pair<const char*, const char*> cases[] = {
      {"a, {name: b, share: 1}", "job.yaml:3:31: dataset[1].share must be a number from 1e-6"},
      {"a, {name: b, share: -0.5}", "dataset[1].share must be a number"},
      {"a, {name: b, share: 0}", "dataset[1].share must be a number"},
      {"a, {name: b, share: 0.5, weight: 1}", "dataset[1] has a weight and a share"},
      {"{name: b, share: 0.5}", "every data set has a share"},
      {"a, {name: b, share: 0.5}, {name: c, share: 0.5}",
       "the shares of dataset add up to 1: they must stay below 1"}};
  for (const auto& [list, message] : cases) {
    EXPECT_THAT(ErrorOf(start + list + "]\n").message(), HasSubstr(message)) << list;
  }
}

TEST(ParseJobSpec, OverrideErrorsPointIntoTheOverride) {
  EXPECT_THAT(ErrorOf(kLeast, {"train.epochs=x"}).message(),
              HasSubstr("--set:1:14: train.epochs must be a number"));
  EXPECT_THAT(ErrorOf(kLeast, {"train.epoch=1"}).message(),
              HasSubstr("--set:1:7: unknown key 'epoch' in train; did you mean 'epochs'?"));
}

TEST(ParseJobSpec, EmptyAndOddTextsAreErrors) {
  for (const char* text : {"", "- a\n", "just words\n", "{", "train: {train: {}}\n"}) {
    EXPECT_EQ(ErrorOf(text).code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(ValidateJobSpec, NamesTheField) {
  struct Case {
    std::function<void(v1::JobSpec*)> change;
    const char* field;
  };
  const Case cases[] = {
      {[](auto* s) { s->clear_base(); }, "base"},
      {[](auto* s) { s->set_base("../../etc"); }, "base"},
      {[](auto* s) { s->clear_datasets(); }, "dataset"},
      {[](auto* s) { s->mutable_datasets(0)->set_weight(-1); }, "dataset"},
      {[](auto* s) { s->mutable_datasets(0)->set_name("a b"); }, "dataset"},
      {[](auto* s) { s->mutable_datasets(0)->set_share(0.5); }, "dataset"},
      {[](auto* s) {
         s->mutable_datasets(0)->set_weight(0);
         s->mutable_datasets(0)->set_share(NAN);
       },
       "dataset"},
      {[](auto* s) { s->mutable_regularize()->set_type("magic"); }, "regularize.type"},
      {[](auto* s) { s->mutable_regularize()->set_type("l2-sp"); }, "regularize.strength"},
      {[](auto* s) { s->set_name("x/y"); }, "name"},
      {[](auto* s) { s->mutable_method()->set_type("magic"); }, "method.type"},
      {[](auto* s) { s->mutable_method()->set_rank(0); }, "method.rank"},
      {[](auto* s) { s->mutable_method()->clear_target_modules(); }, "method.target_modules"},
      {[](auto* s) { s->mutable_method()->set_target_modules(0, "a b"); }, "method.target_modules"},
      {[](auto* s) { s->mutable_method()->set_dropout(NAN); }, "method.dropout"},
      {[](auto* s) { s->mutable_train()->set_global_batch(0); }, "train.global_batch"},
      {[](auto* s) { s->mutable_train()->set_epochs(0); }, "train.epochs"},
      {[](auto* s) { s->mutable_optimizer()->set_learning_rate(INFINITY); },
       "optimizer.learning_rate"},
      {[](auto* s) { s->mutable_optimizer()->add_betas(0.5); }, "optimizer.betas"},
      {[](auto* s) { s->mutable_ranks()->set_max(0); }, "ranks.max"},
      {[](auto* s) { s->clear_register_(); }, "register.model"},
      {[](auto* s) { s->clear_checkpoint(); }, "checkpoint.keep"},
  };
  const v1::JobSpec good = Parsed(kLeast);
  for (const Case& c : cases) {
    v1::JobSpec spec = good;
    c.change(&spec);
    Status status = ValidateJobSpec(spec);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.field;
    EXPECT_EQ(status.field(), c.field) << status.message();
  }
}

TEST(ValidateJobSpec, RefusesAnEmptySpecWithoutCrash) {
  EXPECT_FALSE(ValidateJobSpec(v1::JobSpec()).ok());
}

TEST(ToYaml, ParsesBackToTheSameSpec) {
  for (const char* text :
       {kLeast, "base: m\ndataset: [{name: a, weight: 3}]\nmethod: full\n",
        "base: m@2\ndataset: [{name: a, weight: 2}, b]\nmethod: full\nname: j\n",
        "base: m\ndataset: [a, {name: b, share: 0.3}]\nmethod: full\nregularize: ewc\n"}) {
    v1::JobSpec spec = Parsed(text);
    EXPECT_EQ(ToJsonText(Parsed(ToYaml(spec))), ToJsonText(spec)) << ToYaml(spec);
  }
}

// A default that derives from another field is text, not YAML.
TEST(ParseJobSpec, DerivedNamesMayHoldAnyCharacter) {
  const auto parse = [](const std::string& name) {
    return ParseJobSpec("base: m\ndataset: d\nmethod: full\nname: \"" + name + "\"\n", "job.yaml");
  };
  for (const char* name : {"null", "true", "1"}) {
    const auto spec = parse(name);
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    EXPECT_EQ(spec->register_().model(), name);
  }
  for (const char* name : {"Job: v2", "[draft] x", "#3", "{{ model }}", "- a"}) {
    EXPECT_EQ(parse(name).status().code(), StatusCode::kInvalidArgument) << name;
  }
}

// Every field of the message is in the table, so that none can be forgotten.
void ExpectCovered(const google::protobuf::Descriptor* message, const std::string& prefix) {
  for (int i = 0; i < message->field_count(); ++i) {
    const auto* field = message->field(i);
    std::string path = prefix + (field->name() == "datasets" ? "dataset" : field->name());
    if (field->message_type() != nullptr && !field->is_repeated()) {
      ExpectCovered(field->message_type(), path + ".");
    } else {
      EXPECT_NE(FindField(path), nullptr) << path;
    }
  }
}
TEST(Schema, CoversTheMessage) {
  ExpectCovered(v1::JobSpec::descriptor(), "");
}

}  // namespace
}  // namespace attune::spec
