#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "worker/text/text.h"

namespace attune::text {
namespace {

using testing::HasSubstr;

constexpr char kMessages[] = R"([{"role":"user","content":"hi"}])";

Result<std::string> Render(std::string_view source, std::string_view messages = kMessages,
                           bool prompt = false, std::string_view tools = "") {
  auto parsed = ChatTemplate::Parse(source, "<s>", "");
  if (!parsed.ok()) return parsed.status();
  return (*parsed)->Render(messages, prompt, tools);
}

TEST(ChatTemplate, SeesWhatTransformersGivesIt) {
  EXPECT_EQ(*Render("{{ bos_token }}{{ messages[0].content }}{{ add_generation_prompt }}"
                    "{{ tools is none }}{{ documents is none }}{{ eos_token is defined }}",
                    kMessages, true),
            "<s>hiTrueTrueTrueFalse");
  EXPECT_EQ(*Render("{{ tools[0].name }}", kMessages, false, R"([{"name":"f"}])"), "f");
}

TEST(ChatTemplate, BlocksAreTrimmedAsTransformersDoes) {
  EXPECT_EQ(*Render("  {% if true %}\nx\n  {% endif %}\ny\n"), "x\ny");
}

TEST(ChatTemplate, KeysKeepTheirOrderInJson) {
  EXPECT_EQ(*Render("{{ messages | tojson }}", R"([{"z":1,"a":{"y":"é<&>","b":null}}])"),
            R"([{"z": 1, "a": {"y": "é<&>", "b": null}}])");
}

TEST(ChatTemplate, GenerationTagsPrintTheirBlock) {
  EXPECT_EQ(*Render("a{% generation %}b{%- endgeneration -%} c"),
            "ab"
            "c");
  EXPECT_EQ(*Render("{%- generation -%}x{% endgeneration %}"), "x");
}

MarkedText RenderMarked(std::string_view source, std::string_view messages = kMessages) {
  auto parsed = ChatTemplate::Parse(source, "<s>", "");
  auto marked = (*parsed)->RenderMarked(messages);
  EXPECT_TRUE(marked.ok()) << marked.status().ToString();
  return marked.ok() ? *marked : MarkedText{};
}

TEST(ChatTemplate, MarksWhatGenerationTagsPrint) {
  using testing::ElementsAre;
  using testing::Pair;
  MarkedText marked = RenderMarked(
      "{% for m in messages %}\n"
      "  {% if m.role == 'assistant' %}\n"
      "<a>{%- generation -%}\n"
      "{% set said = m.content %} {{ said }}{{ loop.index }}\n"
      "    {%- endgeneration %}\n"
      "</a>{% else %}<u>{{ m.content }}</u>{% endif %}\n"
      "{% endfor %}",
      R"([{"role":"user","content":"é"},{"role":"assistant","content":"A"},)"
      R"({"role":"assistant","content":"B"}])");
  EXPECT_EQ(marked.text, "<u>é</u><a> A2</a><a> B3</a>");
  EXPECT_THAT(marked.generated, ElementsAre(Pair(12, 15), Pair(22, 25)));
  EXPECT_THAT(RenderMarked("no tags").generated, ElementsAre());
  EXPECT_FALSE(
      (*ChatTemplate::Parse("{# no {% generation %} here #}x", "", ""))->marks_generation());
  EXPECT_THAT(RenderMarked("{% generation %}{% endgeneration %}").generated,
              ElementsAre(Pair(0, 0)));
}

TEST(ChatTemplate, MarksThatCannotBeToldApartAreAnError) {
  auto parsed = ChatTemplate::Parse(
      "{% set x %}{% generation %}{{ messages[0].content }}{% endgeneration %}{% endset %}"
      "{{ x | length }}",
      "", "");
  EXPECT_EQ((*parsed)->RenderMarked(kMessages).status().code(), StatusCode::kInvalidArgument);
  auto plain =
      ChatTemplate::Parse("{% generation %}{{ messages[0].content }}{% endgeneration %}", "", "");
  EXPECT_FALSE((*plain)->RenderMarked("[{\"content\":\"a\xef\xb7\x91z\"}]").ok());
}

TEST(ChatTemplate, RaisedExceptionsAreErrorsWithTheirMessage) {
  auto rendered = Render("\n{{ raise_exception('roles must alternate') }}");
  EXPECT_EQ(rendered.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(rendered.status().message(), HasSubstr("roles must alternate"));
  EXPECT_THAT(rendered.status().message(), HasSubstr("line 2"));
}

TEST(ChatTemplate, StrftimeNowGivesTheYear) {
  EXPECT_THAT(*Render("{{ strftime_now('%Y') }}"), testing::MatchesRegex("2[0-9][0-9][0-9]"));
  EXPECT_EQ(*Render("{{ strftime_now('') }}"), "");
}

TEST(ChatTemplate, ReasoningIsFoundUnderItsOldNames) {
  EXPECT_EQ(*Render("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}",
                    R"([{"role":"assistant","content":"","reasoning":"why"}])"),
            "whywhy");
}

TEST(ChatTemplate, BadSourcesAreErrorsWithTheirLine) {
  auto parsed = ChatTemplate::Parse("x\n{% if %}", "", "");
  EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(parsed.status().message(), HasSubstr("line 2"));
  EXPECT_FALSE(ChatTemplate::Parse("{% for x in y %}", "", "").ok());
  EXPECT_FALSE(ChatTemplate::Parse("\xff", "", "").ok());
}

TEST(ChatTemplate, BadMessagesAreErrors) {
  for (const char* messages : {"", "{}", "[1]", "[{]", "\"x\""}) {
    EXPECT_EQ(Render("x", messages).status().code(), StatusCode::kInvalidArgument) << messages;
  }
  EXPECT_FALSE(Render("x", kMessages, false, "{").ok());
}

TEST(ChatTemplate, EndlessWorkIsStopped) {
  auto rendered = Render(
      "{% for a in range(9999) %}{% for b in range(9999) %}{% set x = a %}{% endfor %}{% endfor "
      "%}");
  EXPECT_EQ(rendered.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(rendered.status().message(), HasSubstr("steps"));
}

TEST(ChatTemplate, EndlessOutputIsStopped) {
  auto rendered = Render("{% set x = 'y' * 100000 %}{% for a in range(9999) %}{{ x }}{% endfor %}");
  EXPECT_EQ(rendered.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(rendered.status().message(), HasSubstr("bytes"));
}

long PeakMegabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

// Each would take gigabytes, most of them in one step.
TEST(ChatTemplate, EndlessMemoryIsStopped) {
  std::string doubled = "{% set x = 'yy' %}";
  for (int i = 0; i < 40; ++i) doubled += "{% set x = x ~ x %}";
  const std::string sources[] = {
      doubled,
      "{% set n = namespace(x='yy') %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor "
      "%}",
      "{% set n = namespace(x=[0]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}"
      "{{ n.x | list }}",
      "{% set x = 'y' * 90000000 %}{% set z = [x ~ 1, x ~ 2, x ~ 3, x ~ 4] %}",
      "{% set x %}{% for i in range(9999) %}{{ 'y' * 1000000 }}{% endfor %}{% endset %}",
      "{% macro m() %}{% for i in range(9999) %}{{ 'y' * 1000000 }}{% endfor %}{% endmacro %}{{ "
      "m() }}",
      "{{ '%1000000000s' | format('') }}",
      "{{ 'a\nb' | indent(1000000000000) }}",
      "{{ 'a\nb' | indent(9223372036854775807) }}",
      "{{ [1] | tojson(indent=10 ** 9) }}",
      "{{ range(99999) | list | tojson(indent='y' * 1000000) }}",
      "{{ range(99999) | join('y' * 1000000) }}",
      "{{ ('y' * 1000000) | replace('y', 'z' * 1000000) }}",
      "{{ ([0] * 1000000000) | list }}",
      "{{ [0] * 1000000000 }}",
      "{{ ('y ' * 40000000).split() | list }}",
  };
  const long before = PeakMegabytes();
  for (const std::string& source : sources) {
    auto rendered = Render(source);
    EXPECT_EQ(rendered.status().code(), StatusCode::kInvalidArgument) << source;
    // A slow machine may be stopped by the clock before it has so much.
    EXPECT_THAT(rendered.status().message(),
                testing::AnyOf(HasSubstr("268435456 bytes of memory"), HasSubstr("processor time")))
        << source;
  }
  EXPECT_LT(PeakMegabytes(), before + 1500);  // 300 of it without a sanitizer
  EXPECT_EQ(*Render("{{ messages[0].content }}"), "hi");
}

// All the work is in one step.
TEST(ChatTemplate, EndlessStepsAreStopped) {
  auto rendered = Render("{{ 5 in [1] * 1000000000000 }}");
  EXPECT_EQ(rendered.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(rendered.status().message(), HasSubstr("more than 1 s of processor time"));
}

// Comparing, printing and dropping values takes stack for each level.
TEST(ChatTemplate, DeepValuesAreAnErrorOrNoTrouble) {
  const std::string deep =
      "{% set n = namespace(x=[], y=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}"
      "{% set n.y = [[[n.y]]] %}{% endfor %}";
  EXPECT_EQ(*Render(deep + "done"), "done");
  for (const char* use : {"{{ n.x }}", "{{ n.x | tojson }}", "{{ n.x == n.y }}"}) {
    EXPECT_THAT(Render(deep + use).status().message(), HasSubstr("too deep")) << use;
  }
}

TEST(ChatTemplate, LongConversationsRender) {
  std::string messages = "[", expected;
  for (int i = 0; i < 50000; ++i) {
    messages += R"({"role":"user","content":")" + std::to_string(i) + "\"},";
    expected += "user: " + std::to_string(i) + "\n";
  }
  messages.back() = ']';
  EXPECT_EQ(*Render("{% for m in messages %}{{ m.role }}: {{ m.content }}{{ '\n' }}{% endfor %}",
                    messages),
            expected);
}

TEST(ChatTemplate, WhatTheEngineRefusesIsAnErrorToo) {
  for (const char* source : {"{{ 'y' * 1000000 * 1000000 }}", "{{ '%1000000000s' % '' }}",
                             "{% for i in range(10 ** 9) %}{% endfor %}"}) {
    EXPECT_EQ(Render(source).status().code(), StatusCode::kInvalidArgument) << source;
  }
}

TEST(ChatTemplate, EndlessRecursionIsStopped) {
  EXPECT_FALSE(Render("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}").ok());
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "(";
  EXPECT_FALSE(ChatTemplate::Parse("{{ " + deep, "", "").ok());
}

}  // namespace
}  // namespace attune::text
