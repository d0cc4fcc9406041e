// The patterns that come with Attune. What they find in real texts that is none was taken out by
// the checks: reserved addresses, check digits, numbers within longer numbers.

#include <algorithm>

#include "coordinator/curation/checks.h"
#include "coordinator/curation/patterns.h"

namespace attune::curation {
namespace {

constexpr std::string_view kSecrets = "secrets", kPersonal = "personal";

// The base64 lines of a PEM block, also with "\n" in two characters, as in JSON and code.
constexpr std::string_view kPrivateKey =
    R"(-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])*)"
    R"((?:[A-Za-z-]{1,30}: [^\n\\]{0,200}(?:\s|\\[nr])+){0,5})"
    R"([A-Za-z0-9+/=]{16}[A-Za-z0-9+/=\s\\]*)"
    R"((?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?)";

std::vector<BuiltinPattern> SecretPatterns() {
  return {
      {"aws_access_key",
       kSecrets,
       "id of an AWS access key",
       R"(\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b)",
       {"AKIA", "ASIA", "ABIA", "ACCA"}},
      {"aws_secret_key",
       kSecrets,
       "AWS secret access key, after its name",
       R"((?i:aws_?secret(?:_?access)?_?key)[\s"':=>\\]{1,12}([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$))",
       {}},
      {"gcp_api_key",
       kSecrets,
       "Google API key",
       R"(\b(AIza[0-9A-Za-z_-]{35})(?:[^0-9A-Za-z_-]|$))",
       {"AIza"}},
      {"google_oauth_token",
       kSecrets,
       "Google OAuth access token or client secret",
       R"(\b(ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{28}))",
       {"ya29.", "GOCSPX-"}},
      {"azure_storage_key",
       kSecrets,
       "account key in an Azure connection string",
       R"(AccountKey=([A-Za-z0-9+/]{86}==))",
       {"AccountKey="}},
      {"github_token",
       kSecrets,
       "GitHub token, classic or fine-grained",
       R"(\b(gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}))",
       {"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}},
      {"gitlab_token",
       kSecrets,
       "GitLab personal access token",
       R"(\b(glpat-[A-Za-z0-9_-]{20,}))",
       {"glpat-"}},
      {"slack_token", kSecrets, "Slack token", R"(\b(xox[abeoprs]-[A-Za-z0-9-]{10,250}))", {"xox"}},
      {"slack_webhook",
       kSecrets,
       "address of a Slack webhook",
       R"(https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,})",
       {"hooks.slack.com"}},
      {"openai_key",
       kSecrets,
       "key of OpenAI, Anthropic and others that begins with sk-",
       R"(\b(sk-[A-Za-z0-9_-]{20,250}))",
       {"sk-"},
       LooksRandom},
      {"stripe_key",
       kSecrets,
       "Stripe secret or restricted key",
       R"(\b([rs]k_(?:live|test)_[A-Za-z0-9]{16,}))",
       {"k_live_", "k_test_"}},
      {"huggingface_token", kSecrets, "Hugging Face token", R"(\b(hf_[A-Za-z0-9]{34})\b)", {"hf_"}},
      {"npm_token", kSecrets, "npm token", R"(\b(npm_[A-Za-z0-9]{36})\b)", {"npm_"}},
      {"pypi_token", kSecrets, "PyPI token", R"(\b(pypi-AgE[A-Za-z0-9_-]{50,}))", {"pypi-AgE"}},
      {"sendgrid_key",
       kSecrets,
       "SendGrid key",
       R"(\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}))",
       {"SG."}},
      {"private_key", kSecrets, "PEM or PGP private key block", kPrivateKey, {"PRIVATE KEY"}},
      {"jwt",
       kSecrets,
       "JSON web token",
       R"(\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}))",
       {"eyJ"}},
      {"url_password",
       kSecrets,
       "user and password in an address",
       R"(\b[a-z][a-z0-9+.-]{1,20}://([^\s/:@'"<>]{1,100}:[^\s/:@'"<>{}$]{3,100})@[A-Za-z0-9])",
       {"://"}},
  };
}

std::vector<BuiltinPattern> PersonalPatterns() {
  return {
      {"email",
       kPersonal,
       "e-mail address, but for reserved domains such as example.com",
       R"([A-Za-z0-9](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_%+-])?@[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,24}\b)",
       {"@"},
       IsRealEmail},
      {"ipv4",
       kPersonal,
       "public IPv4 address",
       R"(\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b)",
       {"."},
       IsPublicIpv4},
      {"ipv6",
       kPersonal,
       "public IPv6 address",
       R"(\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}[0-9A-Fa-f:])",
       {":"},
       IsPublicIpv6},
      {"phone",
       kPersonal,
       "telephone number in international form (+49 30 1234567)",
       R"(\+[1-9]\d{0,2}(?:[ ./-]{0,2}\(?\d{1,12}\)?){1,6})",
       {"+"},
       IsPhoneNumber},
      {"credit_card",
       kPersonal,
       "payment card number with a right check digit (Luhn)",
       R"(\b[2-6]\d{3}(?:[ -]?\d){9,15}\b)",
       {},
       IsCardNumber},
      {"iban",
       kPersonal,
       "bank account number (IBAN) with right check digits",
       R"(\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})",
       {},
       IsIban},
  };
}

}  // namespace

std::span<const BuiltinPattern> BuiltinPatterns() {
  static const auto* patterns = [] {
    auto* all = new std::vector<BuiltinPattern>(SecretPatterns());
    for (BuiltinPattern& pattern : PersonalPatterns()) all->push_back(std::move(pattern));
    return all;
  }();
  return *patterns;
}

}  // namespace attune::curation
