#include "coordinator/curation/patterns.h"

#include <gmock/gmock.h>

#include <string>

namespace attune::curation {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PatternSet Make(const std::vector<PatternRule>& rules) {
  Result<PatternSet> set = PatternSet::Make(rules);
  EXPECT_TRUE(set.ok()) << set.status().ToString();
  return *std::move(set);
}

// What each built-in pattern finds in the text: "name=match".
std::vector<std::string> FindAll(const std::string& text) {
  std::vector<PatternRule> rules;
  for (const BuiltinPattern& pattern : BuiltinPatterns()) {
    rules.push_back({std::string(pattern.name), "", Action::kReport});
  }
  const PatternSet set = Make(rules);
  std::vector<std::string> found;
  for (const PatternMatch& match : set.Find(text).matches) {
    found.push_back(set.rules()[match.pattern].name + "=" +
                    text.substr(match.begin, match.end - match.begin));
  }
  return found;
}

std::string Of(char c, int count) {
  return std::string(static_cast<size_t>(count), c);
}

// Keys in two parts, so that no scanner takes this file for one that holds them.
TEST(BuiltinPatterns, FindSecrets) {
  const std::string random36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
  const std::vector<std::pair<std::string, std::string>> secrets = {
      {"aws_access_key",
       "AKI"
       "AIOSFODNN7EXAMPLE"},
      {"gcp_api_key",
       "AIz"
       "a" +
           random36.substr(0, 35)},
      {"google_oauth_token",
       "ya2"
       "9." +
           random36},
      {"github_token",
       "gh"
       "p_" +
           random36},
      {"github_token",
       "github"
       "_pat_" +
           random36},
      {"gitlab_token",
       "glp"
       "at-" +
           random36.substr(0, 20)},
      {"slack_token",
       "xox"
       "b-123456789012-abcdefghij"},
      {"slack_webhook",
       "https://hooks"
       ".slack.com/services/T00000000/B00000000/XXXXXXXX"},
      {"openai_key",
       "s"
       "k-proj-" +
           random36},
      {"openai_key",
       "s"
       "k-ant-api03-" +
           random36},
      {"stripe_key",
       "sk"
       "_live_" +
           random36.substr(0, 24)},
      {"huggingface_token",
       "hf"
       "_" +
           random36.substr(0, 34)},
      {"npm_token",
       "np"
       "m_" +
           random36},
      {"pypi_token",
       "pyp"
       "i-AgE" +
           random36 + random36},
      {"sendgrid_key",
       "SG"
       "." +
           random36.substr(0, 22) + "." + random36 + "abcdefg"},
      {"jwt",
       "eyJ"
       "hbGciOiJIUzI1NiJ9.eyJ"
       "zdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4"},
      {"azure_storage_key", Of('A', 86) + "=="},
  };
  for (const auto& [name, secret] : secrets) {
    const std::string before = name == "azure_storage_key" ? "AccountKey=" : "key: ";
    EXPECT_THAT(FindAll(before + secret + "; next"), ElementsAre(name + "=" + secret));
  }
  const std::string key40 = random36 + "+/aB";
  EXPECT_THAT(FindAll("aws_secret_access_key = \"" + key40 + "\""),
              ElementsAre("aws_secret_key=" + key40));
  EXPECT_THAT(FindAll("postgres://admin:hunter2@db.internal/x"),
              ElementsAre("url_password=admin:hunter2"));
}

TEST(BuiltinPatterns, FindPrivateKeysWhole) {
  const std::string key =
      "-----BEGIN RSA "
      "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA04up8hoqzS1+\nabc=\n"
      "-----END RSA PRIVATE KEY-----";
  EXPECT_THAT(FindAll("Here:\n" + key + "\nThat was it."), ElementsAre("private_key=" + key));
  std::string escaped = key;
  for (size_t at; (at = escaped.find('\n')) != std::string::npos;) escaped.replace(at, 1, "\\n");
  EXPECT_THAT(FindAll("{\"key\": \"" + escaped + "\"}"), ElementsAre("private_key=" + escaped));
  EXPECT_THAT(FindAll("It begins with -----BEGIN PRIVATE KEY-----, then base64."), IsEmpty());
}

TEST(BuiltinPatterns, FindPersonalData) {
  EXPECT_THAT(FindAll("Write to Jane.Doe+news@mail.acme.co.uk."),
              ElementsAre("email=Jane.Doe+news@mail.acme.co.uk"));
  EXPECT_THAT(FindAll("from 8.8.4.4, to [2606:4700:4700::1111]:443"),
              ElementsAre("ipv4=8.8.4.4", "ipv6=2606:4700:4700::1111"));
  EXPECT_THAT(FindAll("call +49 (0)30 901820 or +1-202-555-0143."),
              ElementsAre("phone=+49 (0)30 901820", "phone=+1-202-555-0143"));
  EXPECT_THAT(FindAll("card 4111 1111 1111 1111 or 378282246310005"),
              ElementsAre("credit_card=4111 1111 1111 1111", "credit_card=378282246310005"));
  EXPECT_THAT(FindAll("IBAN DE89 3704 0044 0532 0130 00 IS MINE, GB82WEST12345698765432"),
              ElementsAre("iban=DE89 3704 0044 0532 0130 00", "iban=GB82WEST12345698765432"));
}

TEST(BuiltinPatterns, LeaveWhatOnlyLooksLikeIt) {
  for (const char* text : {
           "mail user@example.com, root@localhost, icon@2x.png, @decorator, a@b",
           "version 1.2.3.4.5, 10.0.0.1, 127.0.0.1, 192.168.1.1, 203.0.113.7, 999.1.1.1, 0.0.0.0",
           "std::vector, add::bad::cafe, 12:30:45, fe80::1, 2001:db8::1, 2021::x",
           "1+12345678901, x += 12345678, C++11 2020, +12 34",
           "4111 1111 1111 1112, 1234567890123456, 0.4111111111111111, 94111111111111111",
           "DE88 3704 0044 0532 0130 00, XX89 3704 0044 0532 0130 00, GB82 WEST",
           "sk-estimator-doc-link-and-more, sk-toggleable__content2-arrow-down, "
           "risk-management-2020",
           "https://host:8080/path, http://user:${PASSWORD}@host/, http://user:<password>@host",
           "AKIA, AIza, ghp_, xoxb-, eyJ, hf_hub_download_and_more_of_those_names, SG.x",
       }) {
    EXPECT_THAT(FindAll(text), IsEmpty()) << text;
  }
}

TEST(BuiltinPatterns, HaveHintsThatAreInTheirMatches) {
  for (const BuiltinPattern& pattern : BuiltinPatterns()) {
    EXPECT_FALSE(pattern.doc.empty());
    for (std::string_view hint : pattern.hints) EXPECT_GE(hint.size(), 1u) << pattern.name;
  }
}

TEST(PatternSet, Redacts) {
  const PatternSet set = Make({{"email", "", Action::kRedact},
                               {"ticket", "TICKET-\\d+", Action::kReport},
                               {"ipv4", "", Action::kDrop}});
  const std::string text = "a@acme.org wrote TICKET-12 from 8.8.8.8 to b@acme.org";
  const std::vector<PatternMatch> matches = set.Find(text).matches;
  const Action redact[] = {Action::kRedact};
  EXPECT_EQ(set.Redact(text, matches, redact), "[EMAIL] wrote TICKET-12 from 8.8.8.8 to [EMAIL]");
  const Action all[] = {Action::kRedact, Action::kReport, Action::kDrop};
  EXPECT_EQ(set.Redact(text, matches, all), "[EMAIL] wrote [TICKET] from [IPV4] to [EMAIL]");
  EXPECT_EQ(set.Redact("nothing", {}, all), "nothing");
}

TEST(PatternSet, OfOverlappingMatchesTheStrongerActionWins) {
  const PatternSet set =
      Make({{"long_one", "a+b+", Action::kReport}, {"drop_it", "b+", Action::kDrop}});
  const std::vector<PatternMatch> matches = set.Find("aabb").matches;
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].pattern, 1u);
}

TEST(PatternSet, CutsNoCharacterInTwo) {
  const PatternSet set = Make({{"byte", "a\\C", Action::kRedact}});
  EXPECT_THAT(set.Find("a\xc3\xa9").matches, IsEmpty());
  EXPECT_EQ(set.Find("ab").matches.size(), 1u);
}

TEST(PatternSet, SaysWhatIsWrongWithARule) {
  const auto error = [](const std::vector<PatternRule>& rules) {
    return PatternSet::Make(rules).status().message();
  };
  EXPECT_THAT(error({{"emial", ""}}), HasSubstr("'emial' is not built in"));
  EXPECT_THAT(error({{"emial", ""}}), HasSubstr("email"));
  EXPECT_THAT(error({{"email", "x"}}), HasSubstr("another name"));
  EXPECT_THAT(error({{"x", "("}}), HasSubstr("missing )"));
  EXPECT_THAT(error({{"x", "a*"}}), HasSubstr("matches the empty text"));
  EXPECT_THAT(error({{"Bad name", "a"}}), HasSubstr("1 to 63"));
  EXPECT_THAT(error({{"x", "a"}, {"x", "b"}}), HasSubstr("twice"));
  EXPECT_THAT(error({{"x", std::string(1001, 'a')}}), HasSubstr("longer than 1000"));
}

// A backtracking engine takes exponential time for the first, a naive scan quadratic for the
// others.
TEST(PatternSet, TakesLinearTime) {
  const PatternSet set = Make({{"evil", "(a+)+$b", Action::kReport}});
  EXPECT_THAT(set.Find(Of('a', 200'000)).matches, IsEmpty());
  EXPECT_THAT(FindAll(Of('a', 300'000) + "@example.com"), IsEmpty());
  EXPECT_THAT(FindAll(Of('1', 300'000)), IsEmpty());
  std::string dotted;
  for (int i = 0; i < 100'000; ++i) dotted += "1.";
  EXPECT_THAT(FindAll(dotted), IsEmpty());
}

// Each search for the next x goes to the end of the text, to see whether there is an END.
TEST(PatternSet, EndsASearchThatIsTooCostly) {
  const PatternSet set =
      Make({{"digits", "[0-9]+", Action::kReport}, {"costly", "(?s)x.*END|x", Action::kRedact}});
  constexpr int kBytes = 20'000;
  const PatternMatches found = set.Find(Of('x', kBytes));
  EXPECT_THAT(found.too_costly, ElementsAre(1));
  EXPECT_GE(found.matches.size(), kLooksAByte);
  EXPECT_LE(found.bytes_searched, (kLooksAByte + 1) * kBytes);  // and once for digits
  const PatternMatches last = set.Find(Of('x', kBytes) + "END");
  EXPECT_THAT(last.too_costly, IsEmpty());
  EXPECT_EQ(last.matches.size(), 1u);
}

// However long the row is, and into however many texts it is split.
TEST(PatternSet, EndsTheSearchesOfARowThatAreTooCostly) {
  const PatternSet set =
      Make({{"costly", "x", Action::kRedact}, {"digits", "[0-9]", Action::kRedact}});
  const std::string text = Of('x', 8 << 20);
  PatternSet::Looks row;
  const PatternMatches found = set.Find(text, &row);
  EXPECT_THAT(found.too_costly, ElementsAre(0));
  EXPECT_GE(found.matches.size(), kLooksARow / text.size());
  EXPECT_LE(found.bytes_searched, kLooksARow + text.size());  // and once for digits
  EXPECT_THAT(set.Find(text, &row).too_costly, ElementsAre(0));
  EXPECT_LE(row[0], kLooksARow);
  EXPECT_EQ(set.Find("7", &row).matches.size(), 1u) << "another pattern's are its own";
  EXPECT_EQ(set.Find("x").matches.size(), 1u) << "so are another row's";
}

TEST(PatternSet, SearchesTextsWholeThatAreShortOrHaveNotTooManyMatches) {
  const PatternSet set =
      Make({{"costly", "(?s)x.*END|x", Action::kRedact}, {"email", "", Action::kReport}});
  EXPECT_EQ(set.Find(Of('x', 8'000)).matches.size(), 8'000u);
  std::string text;
  for (int i = 0; i < 4'000; ++i) text += "x --- ";
  const PatternMatches found = set.Find(text);
  EXPECT_THAT(found.too_costly, IsEmpty());
  EXPECT_EQ(found.matches.size(), 4'000u);
  // Of built-in ones there may be as many as like.
  std::string addresses;
  for (int i = 0; i < 20'000; ++i) addresses += "a@acme.org ";
  EXPECT_EQ(set.Find(addresses).matches.size(), 20'000u);
}

}  // namespace
}  // namespace attune::curation
