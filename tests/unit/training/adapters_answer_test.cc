// Several adapters over one base, each of which answers its own prompts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tests/unit/training/task_fixture.h"

namespace attune::engine {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing::Recorder;

class AdaptersAnswerTest : public testing::TaskTest {
 protected:
  // An adapter that a job makes, called name@1.
  ModelFiles Trained(const TrainTask& task, const std::string& name) {
    const auto ranks = TrainOn(1, task);
    EXPECT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
    return {.reference = name + "@1",
            .path = ranks[0].result.ok() ? ranks[0].result->output : "",
            .format = "peft-adapter",
            .base = std::make_shared<ModelFiles>(Base())};
  }

  ModelFiles TrainedLora(const std::string& name) {
    TrainTask task = Task("lora", name);
    task.optimizer.learning_rate = 2e-2;
    return Trained(task, name);
  }

  ModelFiles TrainedPrompt(const std::string& name) {
    TrainTask task = Task("prompt-tuning", name);
    task.method.virtual_tokens = 4;
    task.optimizer.learning_rate = 0.5;
    return Trained(task, name);
  }

  // The answers of a model by itself.
  std::vector<std::string> Alone(const ModelFiles& model) {
    Recorder observer;
    const Status status = Generate(Questions(model), observer);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return Texts(observer);
  }

  static std::vector<std::string> Texts(const Recorder& observer) {
    std::vector<std::string> texts;
    for (const std::string& line : observer.lines) texts.push_back(json::parse(line).at("text"));
    return texts;
  }

  static GenerateTask Questions(const ModelFiles& model) {
    return {.model = model,
            .prompts = {{"The cat:"}, {"The fox:"}, {"The crow:"}},
            .max_tokens = 12,
            .temperature = 1,  // likeliest tokens may be equal
            .threads = 1};
  }
};

TEST_F(AdaptersAnswerTest, EachAnswersAsItDoesAloneAndSoDoesTheBase) {
  const ModelFiles lora = TrainedLora("lora"), prompt = TrainedPrompt("prompt");
  const std::vector<std::string> of_base = Alone(Base()), of_lora = Alone(lora),
                                 of_prompt = Alone(prompt);
  EXPECT_NE(of_lora, of_base);
  EXPECT_NE(of_prompt, of_base);
  EXPECT_NE(of_prompt, of_lora);

  for (const bool stream : {false, true}) {
    GenerateTask task = Questions(Base());
    task.adapters = {lora, prompt};
    task.stream = stream;
    const std::vector<Prompt> asked = std::move(task.prompts);
    task.prompts.clear();
    std::vector<std::string> expected, models;
    for (size_t i = 0; i < asked.size(); ++i) {
      for (const std::string adapter : {"prompt@1", "", "lora@1"}) {
        task.prompts.push_back({.text = asked[i].text, .adapter = adapter});
        models.push_back(adapter.empty() ? Base().reference : adapter);
      }
      expected.insert(expected.end(), {of_prompt[i], of_base[i], of_lora[i]});
    }
    Recorder observer;
    const Status status = Generate(task, observer);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Texts(observer), expected);
    for (size_t i = 0; i < observer.lines.size(); ++i) {
      EXPECT_EQ(json::parse(observer.lines[i]).at("model"), models[i]);
    }
  }
}

// The model that is asked for may be an adapter, too.
TEST_F(AdaptersAnswerTest, BesideAnAdapter) {
  const ModelFiles first = TrainedLora("first"), second = TrainedPrompt("second");
  GenerateTask task = Questions(first);
  task.adapters = {second};
  task.prompts[1].adapter = "second@1";
  Recorder observer;
  const Status status = Generate(task, observer);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const auto of_first = Alone(first), of_second = Alone(second);
  EXPECT_EQ(Texts(observer), (std::vector<std::string>{of_first[0], of_second[1], of_first[2]}));
}

TEST_F(AdaptersAnswerTest, WhatIsNotLoadedDoesNotAnswer) {
  GenerateTask task = Questions(Base());
  task.prompts[2].adapter = "absent@1";
  Recorder observer;
  EXPECT_THAT(Generate(task, observer).message(), HasSubstr("prompt 3 names absent@1"));
  EXPECT_TRUE(observer.lines.empty());
}

}  // namespace
}  // namespace attune::engine
