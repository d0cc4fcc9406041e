#include "common/base/hash.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/hex.h"

namespace attune {

std::string ToHex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

namespace {

void SystemRandom(unsigned char* out, size_t size) {
  ATTUNE_CHECK(getrandom(out, size, 0) == static_cast<ssize_t>(size));
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ATTUNE_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::Update(const void* data, size_t size) {
  ATTUNE_CHECK(EVP_DigestUpdate(state_->context, data, size) == 1);
}

std::string Sha256::Hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ATTUNE_CHECK(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  return ToHex({digest, size});
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Hex();
}

Result<std::string> Sha256OfFile(const std::filesystem::path& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
  Sha256 hash;
  std::string chunk(1 << 20, '\0');
  for (;;) {
    ssize_t n = read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      int error = errno;
      close(fd);
      return ErrnoStatus(error, "read " + path.string());
    }
    if (n == 0) break;
    hash.Update(chunk.data(), static_cast<size_t>(n));
  }
  close(fd);
  return hash.Hex();
}

uint64_t Random::Below(uint64_t bound) {
  ATTUNE_CHECK(bound > 0);
  __uint128_t product = static_cast<__uint128_t>(Next()) * bound;
  uint64_t low = static_cast<uint64_t>(product);
  if (low < bound) {
    uint64_t threshold = -bound % bound;
    while (low < threshold) {
      product = static_cast<__uint128_t>(Next()) * bound;
      low = static_cast<uint64_t>(product);
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

std::string NewId(std::string_view prefix) {
  static constexpr char kDigits[] = "0123456789abcdefghjkmnpqrstvwxyz";
  unsigned char bytes[12];
  SystemRandom(bytes, sizeof bytes);
  std::string id(prefix);
  id += '-';
  for (unsigned char byte : bytes) id += kDigits[byte & 31];
  return id;
}

std::string NewToken() {
  unsigned char bytes[32];
  SystemRandom(bytes, sizeof bytes);
  return ToHex(bytes);
}

}  // namespace attune
