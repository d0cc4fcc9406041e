#include "coordinator/curation/signature_file.h"

#include <bit>
#include <cstring>

#include "common/base/hash.h"

namespace attune::curation {
namespace {

static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(Signature) == kPermutations && alignof(Signature) == 1);

constexpr size_t kDigits = 64;  // of a SHA-256

struct Header {
  char magic[8];
  uint32_t version, permutations;
  uint64_t rows;
  char shard[kDigits];
};
static_assert(sizeof(Header) == 24 + kDigits);

constexpr char kMagic[] = "attuneMH";

}  // namespace

std::string FormatSignatureFile(std::string_view shard_sha256,
                                std::span<const Signature> signatures) {
  ATTUNE_CHECK(shard_sha256.size() == kDigits);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  header.version = kSignatureVersion;
  header.permutations = kPermutations;
  header.rows = signatures.size();
  std::memcpy(header.shard, shard_sha256.data(), kDigits);
  std::string bytes;
  bytes.reserve(sizeof header + signatures.size_bytes() + kDigits);
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.append(reinterpret_cast<const char*>(signatures.data()), signatures.size_bytes());
  return bytes.append(Sha256Hex(bytes));
}

Result<std::span<const Signature>> ParseSignatureFile(std::span<const std::byte> bytes,
                                                      std::string_view shard_sha256) {
  const auto bad = [](const std::string& what) { return DataLoss("signatures: " + what); };
  Header header;
  if (bytes.size() < sizeof header + kDigits) return bad("the file is too short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0) return bad("not such a file");
  if (header.version != kSignatureVersion || header.permutations != kPermutations) {
    return bad("of another version");
  }
  const size_t body = bytes.size() - sizeof header - kDigits;
  if (body % sizeof(Signature) != 0 || header.rows != body / sizeof(Signature)) {
    return bad("the file has not the size that it says");
  }
  if (shard_sha256 != std::string_view(header.shard, kDigits)) return bad("of another shard");
  Sha256 hash;
  hash.Update(bytes.data(), sizeof header + body);
  const auto* checksum = reinterpret_cast<const char*>(bytes.data()) + sizeof header + body;
  if (hash.Hex() != std::string_view(checksum, kDigits)) return bad("the checksum does not match");
  const auto* first = reinterpret_cast<const Signature*>(bytes.data() + sizeof header);
  return std::span(first, header.rows);
}

}  // namespace attune::curation
