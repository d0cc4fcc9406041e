#include "coordinator/security/tokens.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include "common/base/files.h"
#include "common/base/hash.h"

namespace attune::security {

bool EqualTokens(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kPrefix = "Bearer ";
  if (!authorization.starts_with(kPrefix)) return {};
  return authorization.substr(kPrefix.size());
}

Result<std::string> ReadTokenFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return FailedPrecondition("token file " + path + " is open to everyone: chmod 600 " + path);
  }
  auto content = ReadFile(path, 4096);
  if (!content.ok()) return content.status().WithContext("token file " + path);
  std::string token = *content;
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.size() < 16 || token.find_first_of(" \t\r\n") != std::string::npos) {
    return InvalidArgument("token file " + path +
                           " must hold one line of at least 16 characters without spaces");
  }
  return token;
}

void RunTokens::Add(const std::string& token_sha256, const std::string& run) {
  MutexLock lock(&mutex_);
  run_by_hash_[token_sha256] = run;
}

void RunTokens::Remove(const std::string& run) {
  MutexLock lock(&mutex_);
  std::erase_if(run_by_hash_, [&](const auto& entry) { return entry.second == run; });
}

std::optional<std::string> RunTokens::RunOf(std::string_view token) const {
  if (token.empty()) return std::nullopt;
  std::string hash = Sha256Hex(token);
  MutexLock lock(&mutex_);
  auto found = run_by_hash_.find(hash);
  if (found == run_by_hash_.end()) return std::nullopt;
  return found->second;
}

}  // namespace attune::security
