#include "coordinator/curation/language.h"

#include <gmock/gmock.h>

namespace attune::curation {
namespace {

using ::testing::Contains;

TEST(LanguageOf, TellsLanguagesApart) {
  EXPECT_EQ(LanguageOf("The committee will meet again on Thursday to discuss the results of it."),
            "en");
  EXPECT_EQ(LanguageOf(
                "Der Ausschuss trifft sich am Donnerstag wieder, um die Ergebnisse zu besprechen."),
            "de");
  EXPECT_EQ(
      LanguageOf(
          "Le chat dort toute la journée sur le canapé pendant que les enfants jouent dehors."),
      "fr");
  EXPECT_EQ(LanguageOf("Комитет снова соберется в четверг, чтобы обсудить результаты работы."),
            "ru");
  EXPECT_EQ(LanguageOf("委员会将于星期四再次开会讨论结果。"), "zh");
  EXPECT_EQ(LanguageOf("委員会は結果について話し合うために木曜日に再び会合します。"), "ja");
}

TEST(LanguageOf, DoesNotGuessOfShortTexts) {
  EXPECT_EQ(LanguageOf(""), "");
  EXPECT_EQ(LanguageOf("Yes."), "");
  EXPECT_EQ(LanguageOf("12345 + 67890 = 80235, 12345 + 67890 = 80235"), "");
  EXPECT_EQ(LanguageOf(std::string(100, '\xff')), "");
}

TEST(LanguageOf, LooksAtTheStart) {
  std::string text;
  while (text.size() < kLanguageBytesMax - 1)
    text += "Los niños juegan en el jardín mientras su abuela prepara la comida para todos. ";
  text.resize(kLanguageBytesMax - 1);
  EXPECT_EQ(LanguageOf(text + "ü" + std::string(10'000, 'x')), "es");
}

TEST(KnownLanguages, HaveCodes) {
  EXPECT_GT(KnownLanguages().size(), 60u);
  for (const char* code : {"en", "de", "zh", "ja", "fa"})
    EXPECT_THAT(KnownLanguages(), Contains(code));
  for (const std::string& code : KnownLanguages()) EXPECT_EQ(code.size(), 2u) << code;
}

}  // namespace
}  // namespace attune::curation
