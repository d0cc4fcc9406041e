#include "worker/engine/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "tests/unit/data/prepare_fixture.h"

namespace attune::engine {
namespace {

using testing::HasSubstr;

TEST_F(PrepareTest, AssistantTurnsAreTargetsWithTheirEnd) {
  PrepareTask task = Task({WriteDataset(
      "data", {Chat({{"user", "a b"}, {"assistant", "c d"}, {"user", "e"}, {"assistant", "f"}})})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  auto data = OpenPrepared(task);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(TargetText(data->train->Example(0)), "c d<|im_end|>\nf<|im_end|>\n");
}

TEST_F(PrepareTest, CompletionIsTargetWithTheEndOfTheSequence) {
  PrepareTask task = Task({WriteDataset("data", {Pair("1 + 1 =", " 2")})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(task)->train->Example(0)), " 2<|im_end|>");
}

TEST_F(PrepareTest, LossOnAllTakesEveryTokenButTheFirst) {
  PrepareTask task = Task({WriteDataset("data", {Pair("1 + 1 =", " 2")})});
  task.train.loss_on = "all";
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->target_tokens, result->tokens - 1);
}

TEST_F(PrepareTest, CountsWhatIsCutAndWhatIsDropped) {
  std::string longer(400, 'x');
  PrepareTask task = Task({WriteDataset("data",
                                        {Text("short"), Text(longer), Pair(longer, "never seen"),
                                         Chat({{"user", "no answer"}}), Text("")},
                                        {Text("seen later"), Text("and this"), Text(longer)})},
                          64);
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 2);
  ASSERT_EQ(result->datasets.size(), 1u);
  EXPECT_EQ(result->datasets[0].train.examples, 5);
  EXPECT_EQ(result->datasets[0].train.truncated, 2);
  // The empty text is an end of sequence with nothing before it.
  EXPECT_EQ(result->datasets[0].train.without_target, 3);
  EXPECT_EQ(result->datasets[0].validation.examples, 3);
  EXPECT_EQ(result->datasets[0].validation.truncated, 1);
  EXPECT_EQ(result->validation_examples, 3);
  EXPECT_THAT(
      observer_.warnings,
      testing::ElementsAre("data@1, 5 training examples: 2 are cut at "
                           "train.sequence_length 64, 3 are dropped for having nothing to learn "
                           "before the cut",
                           "data@1, 3 validation examples: 1 is cut at "
                           "train.sequence_length 64"));
  EXPECT_FALSE(result->cached);
  for (const char* phase : {"tokenizing", "verifying"}) {
    EXPECT_EQ(observer_.last[phase].done, 8) << phase;
    EXPECT_EQ(observer_.last[phase].total, 8) << phase;
  }
  auto data = OpenPrepared(task);
  EXPECT_THAT(data->train->lengths(), testing::Each(testing::Le(64u)));
}

TEST_F(PrepareTest, MetadataAndUnlabelledRowsAreNoPartOfWhatIsLearned) {
  PrepareTask plain = Task({WriteDataset("plain", {Pair("1 + 1 =", " 2")}, {Text("three")})});
  Json told = Pair("1 + 1 =", " 2"), three = Text("three");
  told["metadata"] = {{"language", "en"}, {"text", "not this"}};
  three["metadata"] = {{"kind", "messages"}};
  PrepareTask task = Task({WriteDataset(
      "told", {told}, {three},
      {{{"kind", "prompt"}, {"prompt", "2 + 2 ="}},
       {{"kind", "prompt"}, {"messages", {{{"role", "user"}, {"content", "why?"}}}}}})});
  ASSERT_TRUE(Prepare(plain, observer_).ok());
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 1);
  EXPECT_EQ(result->validation_examples, 1);
  EXPECT_EQ(observer_.last["tokenizing"].total, 2);
  auto expected = OpenPrepared(plain), data = OpenPrepared(task);
  for (auto shard : {&PreparedData::train, &PreparedData::validation}) {
    const TokenExample one = ((*data).*shard)->Example(0), other = ((*expected).*shard)->Example(0);
    EXPECT_TRUE(std::ranges::equal(one.tokens, other.tokens));
    EXPECT_TRUE(std::ranges::equal(one.targets, other.targets));
  }
}

TEST_F(PrepareTest, AVersionOfUnlabelledRowsHasNothingToLearn) {
  const Json prompt = {{"kind", "prompt"}, {"prompt", "2 + 2 ="}};
  Status status = Prepare(Task({WriteDataset("asked", {}, {}, {prompt})}), observer_).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("no example in its training split"));
}

TEST_F(PrepareTest, TheSecondTimeComesFromTheCache) {
  PrepareTask task = Task({WriteDataset("data", {Text("one"), Text("two")})});
  ASSERT_EQ(OpenPrepared(task).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(Prepare(task, observer_).ok());
  observer_.last.clear();
  auto second = Prepare(task, observer_);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->cached);
  EXPECT_EQ(second->examples, 2);
  EXPECT_FALSE(observer_.last.contains("tokenizing"));
  EXPECT_EQ(observer_.last["verifying"].done, 2);
  task.train.sequence_length = 100;
  EXPECT_FALSE(Prepare(task, observer_)->cached);
  EXPECT_EQ(CacheFiles().size(), 2u);
}

TEST_F(PrepareTest, ADamagedCacheIsMadeAnew) {
  PrepareTask task = Task({WriteDataset("data", {Text("one"), Text("two")})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  ASSERT_EQ(CacheFiles().size(), 1u);
  const fs::path tokens = CacheFiles()[0];
  const std::string whole = *ReadFile(tokens);
  fs::resize_file(tokens, 50);
  EXPECT_EQ(OpenPrepared(task).status().code(), StatusCode::kDataLoss);
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_FALSE(result->cached);
  EXPECT_EQ(*ReadFile(tokens), whole);
  // Of an example only who reads it finds out; preparing reads all.
  std::string flipped = whole;
  flipped[20] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(tokens, flipped).ok());
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(*ReadFile(tokens), whole);
  EXPECT_TRUE(Prepare(task, observer_)->cached);
}

// Not the user's fault, and not the same again: the next attempt's Prepare makes it.
TEST_F(PrepareTest, AShardThatIsGoneIsNotFound) {
  PrepareTask task = Task({WriteDataset("data", {Text("one")}, {Text("two")})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  ASSERT_EQ(CacheFiles().size(), 2u);
  fs::remove(CacheFiles()[0]);
  const Status gone = OpenPrepared(task).status();
  EXPECT_EQ(gone.code(), StatusCode::kNotFound);
  EXPECT_THAT(gone.message(), HasSubstr("dataset data@1: the tokens of its shard "));
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_TRUE(OpenPrepared(task).ok());
}

TEST_F(PrepareTest, ManyMayPrepareAtOnce) {
  std::vector<Json> rows;
  for (int i = 0; i < 300; ++i) rows.push_back(Text("text number " + std::to_string(i)));
  PrepareTask task = Task({WriteDataset("data", rows)});
  std::vector<std::thread> threads;
  std::vector<Status> results(4);
  for (Status& result : results) {
    threads.emplace_back([&task, &result] {
      Observer observer;
      auto prepared = Prepare(task, observer);
      result = prepared.ok() ? Status() : prepared.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& result : results) EXPECT_TRUE(result.ok()) << result.ToString();
  EXPECT_EQ(CacheFiles().size(), 1u);
  EXPECT_EQ(OpenPrepared(task)->train->size(), 300u);
}

TEST_F(PrepareTest, StopsWhenAsked) {
  PrepareTask task = Task({WriteDataset("data", {Text("one")})});
  observer_.stop = StopRequest::kStop;
  EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kCancelled);
  EXPECT_THAT(CacheFiles(), testing::IsEmpty());
  observer_.stop = StopRequest::kNone;
  ASSERT_TRUE(Prepare(task, observer_).ok());
  observer_.stop = StopRequest::kStop;
  const Status verifying = Prepare(task, observer_).status();
  EXPECT_EQ(verifying.code(), StatusCode::kCancelled);
  EXPECT_THAT(verifying.message(), HasSubstr("verifying"));
}

TEST_F(PrepareTest, DatasetsAreMixedByWeight) {
  PrepareTask task = Task({WriteDataset("a", {Text("a1"), Text("a2")}, {Text("av")}),
                           WriteDataset("b", {Text("b1")}, {Text("bv")})});
  task.datasets[1].weight = 3;
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->examples, 5);
  EXPECT_EQ(result->datasets[0].examples_an_epoch, 2);
  EXPECT_EQ(result->datasets[1].examples_an_epoch, 3);
  EXPECT_EQ(result->validation_examples, 2);
  EXPECT_THAT(observer_.warnings, testing::IsEmpty());
  auto data = OpenPrepared(task);
  task.datasets[1].weight = 1;
  EXPECT_NE(OpenPrepared(task)->key, data->key);
  EXPECT_EQ(CacheFiles().size(), 4u);
}

TEST_F(PrepareTest, DatasetsAreMixedByShareAndTheSeedDraws) {
  std::vector<Json> fresh, past;
  for (int i = 0; i < 14; ++i) fresh.push_back(Text("new " + std::to_string(i)));
  for (int i = 0; i < 90; ++i) past.push_back(Text("old " + std::to_string(i)));
  PrepareTask task = Task({WriteDataset("new", fresh), WriteDataset("old", past)});
  task.datasets[1].weight = 0;
  task.datasets[1].share = 0.3;
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 20);
  EXPECT_EQ(result->datasets[0].examples_an_epoch, 14);
  EXPECT_EQ(result->datasets[1].examples_an_epoch, 6);
  EXPECT_DOUBLE_EQ(result->datasets[1].share, 0.3);
  const auto data = OpenPrepared(task);
  EXPECT_EQ(data->train->size(), 20u);
  EXPECT_EQ(data->old->size(), 90u);
  EXPECT_TRUE(data->drawn);
  task.train.seed = 2;
  const auto other = OpenPrepared(task);
  EXPECT_NE(other->key, data->key);
  int same = 0;
  for (size_t i = 0; i < 20; ++i) {
    same += std::ranges::equal(data->train->Example(i).id, other->train->Example(i).id);
  }
  EXPECT_GE(same, 14);
  EXPECT_LT(same, 20);
  EXPECT_EQ(CacheFiles().size(), 2u) << "tokens follow from neither share nor seed";

  task.datasets[1] = {task.datasets[1].reference, task.datasets[1].path, task.datasets[1].checksum};
  const auto whole = OpenPrepared(task);
  EXPECT_FALSE(whole->drawn);
  EXPECT_EQ(whole->old->size(), 104u);
  task.datasets = {task.datasets[0]};
  task.datasets[0].share = 0.5;
  EXPECT_EQ(OpenPrepared(task).status().field(), "dataset.share");
}

TEST_F(PrepareTest, SaysWhyNothingCanBeLearned) {
  auto status = [&](const PrepareTask& task) { return Prepare(task, observer_).status(); };
  Status empty = status(Task({WriteDataset("empty", {})}));
  EXPECT_EQ(empty.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(empty.message(), HasSubstr("no example in its training split"));
  Status cut = status(Task({WriteDataset("cut", {Pair(std::string(300, 'x'), "y")})}, 16));
  EXPECT_EQ(cut.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(cut.message(), HasSubstr("raise train.sequence_length"));
  EXPECT_THAT(status(Task({WriteDataset("asked", {Chat({{"user", "x"}})})})).message(),
              HasSubstr("no assistant message"));
}

TEST_F(PrepareTest, RefusesATokenizerOfAnotherModel) {
  PrepareTask task = Task({WriteDataset("data", {Text("some words of text")})});
  WriteModel(100);
  Status larger = Prepare(task, observer_).status();
  EXPECT_EQ(larger.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(larger.message(), HasSubstr("does not belong to the model"));
  WriteModel(400);  // might be added tokens; but then a text uses one
  Status used = Prepare(task, observer_).status();
  EXPECT_EQ(used.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(used.message(), HasSubstr("the model's vocabulary has 400 entries"));
}

TEST_F(PrepareTest, RefusesMessagesWithoutATemplate) {
  fs::remove(folder_.path() / "model/chat_template.jinja");
  Status status =
      Prepare(Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y"}})})}), observer_)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("no chat template"));
}

// A template of three roles that must alternate.
constexpr char kStrict[] =
    "{% for m in messages %}{% if m.role == 'odd' %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

TEST_F(PrepareTest, AFewRowsThatTheTemplateCannotTakeAreLeftOut) {
  Write("model/chat_template.jinja", kStrict);
  std::vector<Json> rows(38, Chat({{"user", "q"}, {"assistant", "a"}}));
  rows.push_back(Chat({{"system", "s"}, {"user", "why \nme"}, {"odd", "x"}, {"assistant", "a"}}));
  PrepareTask task = Task({WriteDataset("data", rows, {Chat({{"odd", ""}, {"assistant", "a"}})})});
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 38);
  EXPECT_EQ(result->datasets[0].train.unusable, 1);
  EXPECT_EQ(result->datasets[0].validation.unusable, 1);
  EXPECT_EQ(result->validation_examples, 0);
  ASSERT_EQ(result->datasets[0].unusable.size(), 2u);
  EXPECT_THAT(result->datasets[0].unusable[0],
              testing::MatchesRegex("example [0-9a-f]{32} \\(\"why  me\"\\): .*roles must "
                                    "alternate.*"));
  ASSERT_EQ(observer_.warnings.size(), 2u);
  EXPECT_THAT(observer_.warnings[1], HasSubstr("roles must alternate"));
  // The cache tells the same.
  std::vector<std::string> first = std::exchange(observer_.warnings, {});
  ASSERT_TRUE(Prepare(task, observer_)->cached);
  EXPECT_EQ(observer_.warnings, first);
}

TEST_F(PrepareTest, ManyRowsThatTheTemplateCannotTakeAreAnError) {
  Write("model/chat_template.jinja", kStrict);
  std::vector<Json> rows(18, Chat({{"user", "q"}, {"assistant", "a"}}));
  rows.push_back(Chat({{"odd", "why"}, {"assistant", "a"}}));
  Status status = Prepare(Task({WriteDataset("data", rows)}), observer_).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("1 of the first 19 examples cannot be used"));
  EXPECT_THAT(status.message(), HasSubstr("(\"why\"): "));
  EXPECT_THAT(CacheFiles(), testing::IsEmpty());
}

TEST_F(PrepareTest, PreferencePairsAreNotLearned) {
  const Json texts = {
      {"kind", "preference"}, {"prompt", "q"}, {"chosen", "good"}, {"rejected", "bad"}};
  const Json lists = {{"kind", "preference"},
                      {"chosen", Chat({{"user", "why"}, {"assistant", "a"}})["messages"]},
                      {"rejected", Chat({{"user", "why"}, {"assistant", "b"}})["messages"]}};
  const std::string why = "preference pairs: only task: preference learns from them";
  Status only = Prepare(Task({WriteDataset("only", {texts, lists})}), observer_).status();
  EXPECT_EQ(only.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(only.message(), HasSubstr("2 of the first 2 examples cannot be used"));
  EXPECT_THAT(only.message(), HasSubstr("(\"q\"): " + why));
  EXPECT_THAT(only.message(), HasSubstr("(\"why\"): " + why));

  std::vector<Json> rows(39, Text("some text"));
  rows.push_back(texts);
  auto few = Prepare(Task({WriteDataset("few", rows)}), observer_);
  ASSERT_TRUE(few.ok()) << few.status().ToString();
  EXPECT_EQ(few->examples, 39);
  EXPECT_EQ(few->datasets[0].train.unusable, 1);
  ASSERT_EQ(observer_.warnings.size(), 1u);
  EXPECT_THAT(observer_.warnings[0],
              testing::AllOf(HasSubstr("1 is left out because it cannot be used"), HasSubstr(why)));
}

TEST_F(PrepareTest, ATemplateThatNeverEndsIsAnErrorOfTheInput) {
  Write("model/chat_template.jinja",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = a %}{% endfor %}"
        "{% endfor %}");
  Status status =
      Prepare(Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y"}})})}), observer_)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
}

TEST_F(PrepareTest, WhatTheTemplateMarksIsLearned) {
  Write("model/chat_template.jinja",
        "{{ messages | length }}{% for m in messages %}[{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}"
        "{% endif %}]{% endfor %}");
  PrepareTask task = Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y z"}})})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(task)->train->Example(0)), "y z<|im_end|>");
}

TEST_F(PrepareTest, ATurnThatItsPromptDoesNotForetellBeginsWhereTheyPart) {
  Write("model/chat_template.jinja",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}");
  PrepareTask task = Task({WriteDataset(
      "data", {Chat({{"user", "a"}, {"assistant", "b c"}, {"user", "d"}, {"assistant", "e"}})})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(task)->train->Example(0)), "b c<|im_end|>e<|im_end|>");
}

Json Parts(std::vector<std::string> texts) {
  Json parts = Json::array();
  for (auto& text : texts) parts.push_back({{"type", "text"}, {"text", text}});
  return parts;
}

TEST_F(PrepareTest, PartsAreLeftToATemplateThatKnowsThem) {
  Json row = Chat({{"user", "x"}, {"assistant", ""}});
  row["messages"][1]["content"] = Parts({"a", "b"});
  auto learned = [&](const std::string& content) {
    Write("model/chat_template.jinja", "{% for m in messages %}[{{ m.role }}]" + content +
                                           "{% endfor %}{% if add_generation_prompt %}[assistant]"
                                           "{% endif %}");
    PrepareTask task = Task({WriteDataset("data", {row})});
    Status status = Prepare(task, observer_).status();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return TargetText(OpenPrepared(task)->train->Example(0));
  };
  EXPECT_EQ(learned("{{ m.content }}"), "ab");              // it would print a Python list
  EXPECT_EQ(learned("{{ '' + m.content + '!' }}"), "ab!");  // it would fail
  EXPECT_EQ(learned("{% if m.content is string %}{{ m.content }}{% else %}"
                    "{% for p in m.content %}{{ p.text }};{% endfor %}{% endif %}"),
            "a;b;");
}

TEST_F(PrepareTest, APairOfMessagesIsLearnedAfterItsPrompt) {
  Json row = {{"kind", "prompt_completion"},
              {"prompt", Json::array({{{"role", "user"}, {"content", "x"}}})},
              {"completion", Json::array({{{"role", "assistant"}, {"content", "y z"}}})}};
  PrepareTask task = Task({WriteDataset("data", {row})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(task)->train->Example(0)), "y z<|im_end|>\n");
}

TEST_F(PrepareTest, RefusesTextsWhenNothingWouldTeachTheModelToStop) {
  Write("model/tokenizer_config.json", "{}");
  PrepareTask text = Task({WriteDataset("text", {Text("one")})});
  PrepareTask pair = Task({WriteDataset("pair", {Pair("one", "two")})});
  for (const PrepareTask& task : {text, pair}) {
    Status status = Prepare(task, observer_).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("add \"eos_token\" to its tokenizer_config.json"));
  }
  EXPECT_TRUE(
      Prepare(Task({WriteDataset("chat", {Chat({{"user", "a"}, {"assistant", "b"}})})}), observer_)
          .ok());
  Write("model/config.json", R"({"vocab_size":600,"eos_token_id":2})");
  ASSERT_TRUE(Prepare(text, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(text)->train->Example(0)), "<|im_end|>");
}

TEST_F(PrepareTest, RefusesATemplateThatChangesItsMind) {
  Write("model/chat_template.jinja",
        "{{ messages | length }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}");
  Status status =
      Prepare(Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y"}})})}), observer_)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("message 1: the chat template renders"));
}

TEST_F(PrepareTest, RefusesADatasetThatIsNotWhatWasImported) {
  DatasetFiles dataset = WriteDataset("data", {Text("one")});
  DatasetFiles other = dataset;
  other.checksum = std::string(64, '0');
  EXPECT_EQ(Prepare(Task({other}), observer_).status().code(), StatusCode::kDataLoss);
  Write("data/train-0.jsonl", "{\"id\":\"00\"}\n");
  Status changed = Prepare(Task({dataset}), observer_).status();
  EXPECT_EQ(changed.code(), StatusCode::kDataLoss);
  EXPECT_THAT(changed.message(), HasSubstr("train-0.jsonl"));
  Write("data/manifest.json", "{\"checksum\":\"x\",\"shards\":[{\"file\":\"../../etc/passwd\"}]}");
  EXPECT_EQ(Prepare(Task({{"data@1", folder_.path() / "data", "", 1}}), observer_).status().code(),
            StatusCode::kDataLoss);
  EXPECT_THAT(CacheFiles(), testing::IsEmpty());
}

TEST_F(PrepareTest, AnAdapterUsesTheTextOfItsBase) {
  PrepareTask task = Task({WriteDataset("data", {Text("one")})});
  auto base = std::make_shared<ModelFiles>(task.base);
  fs::create_directories(folder_.path() / "adapter");
  task.base = {.reference = "adapter@1",
               .path = folder_.path() / "adapter",
               .format = "peft-adapter",
               .base = base};
  EXPECT_TRUE(Prepare(task, observer_).ok());
  task.base.base = nullptr;
  EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attune::engine
