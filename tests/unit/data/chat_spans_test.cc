// What the assistant says where a template prints a turn otherwise once more follows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/data/prepare_fixture.h"

namespace attune::engine {
namespace {

using testing::HasSubstr;

class ChatSpansTest : public PrepareTest {
 protected:
  // Of one chat by a template that prints `last` of the assistant's last turn and `earlier` of
  // those before.
  Status Learn(const std::string& last, const std::string& earlier, const Json& chat) {
    Write("model/chat_template.jinja",
          "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role != 'assistant' %}"
          "{{ m.content }}{% elif loop.last %}" +
              last + "{% else %}" + earlier +
              "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
              "<|im_start|>assistant\n{% endif %}");
    task_ = Task({WriteDataset("data", {chat})});
    return Prepare(task_, observer_).status();
  }

  std::string Learned(const std::string& last, const std::string& earlier, const Json& chat) {
    const Status status = Learn(last, earlier, chat);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return status.ok() ? TargetText(OpenPrepared(task_)->train->Example(0)) : "";
  }

  PrepareTask task_;
};

constexpr char kThink[] = "<think>\n\n</think>\n\n{{ m.content }}";

TEST_F(ChatSpansTest, AnEarlierTurnIsWhatStandsThereWithoutTheLastOnesThink) {
  const Json chat =
      Chat({{"user", "a"}, {"assistant", "b c"}, {"user", "b c"}, {"assistant", "d"}});
  EXPECT_EQ(Learned(kThink, "{{ m.content }}", chat),
            "b c<|im_end|>\n<think>\n\n</think>\n\nd<|im_end|>\n");
}

TEST_F(ChatSpansTest, ReasoningWithinTheWordsMayBeLeftOutToo) {
  const Json chat = Chat({{"user", "a"},
                          {"assistant", "<think>\nhm\n</think>\n\nb"},
                          {"user", "c"},
                          {"assistant", "<think>\nso\n</think>\n\nd"}});
  EXPECT_EQ(Learned("{{ m.content }}", "{{ m.content.split('</think>')[-1].lstrip('\\n') }}", chat),
            "b<|im_end|>\n<think>\nso\n</think>\n\nd<|im_end|>\n");
}

TEST_F(ChatSpansTest, ATurnWithoutWordsIsWhatFollowsTheThink) {
  Json chat = Chat({{"user", "a"}, {"assistant", ""}, {"tool", "b"}, {"assistant", "c"}});
  chat["messages"][1]["calls"] = "[f(1)]";
  const std::string calls = "{{ m.calls or '' }}";
  EXPECT_EQ(Learned(kThink + calls, "{{ m.content }}" + calls, chat),
            "[f(1)]<|im_end|>\n<think>\n\n</think>\n\nc<|im_end|>\n");
}

TEST_F(ChatSpansTest, ATurnOfWhichWordsAreLeftOutIsRefused) {
  const Json chat = Chat(
      {{"user", "a"}, {"assistant", "long words"}, {"user", "long words"}, {"assistant", "b"}});
  for (const char* earlier : {"", "words", "{{ m.content[:4] }}", "long words, cut"}) {
    const Status status = Learn(kThink, earlier, chat);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << earlier;
    EXPECT_THAT(status.message(), HasSubstr("message 1: the chat template renders")) << earlier;
  }
}

}  // namespace
}  // namespace attune::engine
