#include "coordinator/datasets/shard_index.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "ATTUNIDX";
constexpr uint32_t kFormat = 2;
constexpr uint32_t kFormatWithoutPreferences = 1;
constexpr size_t kDigestDigits = 64;
constexpr size_t kLineBytes = 28;
constexpr uint64_t kIndexBytesMax = 1 << 30;

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Takes values off the front; what is too short reads as zero and makes ok() false.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}
  template <typename T>
  T Take() {
    T value{};
    const std::string_view bytes = Take(sizeof value);
    if (ok_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view Take(size_t size) {
    if (size > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  bool ok() const { return ok_; }
  size_t size() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

Status Bad() {
  return DataLoss("not the index of a shard");
}

Result<ShardIndex> FromShard(const v1::DatasetVersion& version, const Shard& shard) {
  ShardIndex index;
  index.sha256 = shard.sha256;
  MetadataKeys keys;
  std::vector<uint64_t> lines_by_key(kMetadataKeysReported);
  ATTUNE_RETURN_IF_ERROR(ReadShard(version, shard, [&](std::string_view line) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(const Row row, ParseShardLine(line));
    ++index.kinds[static_cast<size_t>(row.kind)];
    const LineFacts facts = FactsOf(row, HashOfLine(line), &keys);
    for (size_t key = 0; key < keys.keys().size(); ++key) {
      lines_by_key[key] += facts.metadata_keys >> key & 1;
    }
    index.lines.push_back({facts.id, facts.hash, facts.characters});
    return Status();
  }));
  for (size_t key = 0; key < keys.keys().size(); ++key) {
    index.metadata_keys[keys.keys()[key]] = lines_by_key[key];
  }
  return index;
}

}  // namespace

uint64_t HashOfLine(std::string_view line) {
  const std::string digits = Sha256Hex(line);
  uint64_t hash = 0;
  std::from_chars(digits.data(), digits.data() + 16, hash, 16);
  return hash;
}

std::string FormatShardIndex(const ShardIndex& index) {
  std::string out(kMagic);
  Put(kFormat, &out);
  Put(static_cast<uint32_t>(index.metadata_keys.size()), &out);
  Put(static_cast<uint64_t>(index.lines.size()), &out);
  for (uint64_t kind : index.kinds) Put(kind, &out);
  ATTUNE_CHECK(index.sha256.size() == kDigestDigits);
  out += index.sha256;
  for (const auto& [key, count] : index.metadata_keys) {
    Put(static_cast<uint32_t>(key.size()), &out);
    out += key;
    Put(count, &out);
  }
  out.reserve(out.size() + index.lines.size() * kLineBytes + kDigestDigits);
  for (const IndexedLine& line : index.lines) {
    Put(line.id.high, &out);
    Put(line.id.low, &out);
    Put(line.hash, &out);
    Put(line.characters, &out);
  }
  return out + Sha256Hex(out);
}

Result<ShardIndex> ParseShardIndex(std::string_view bytes) {
  if (bytes.size() < kDigestDigits) return Bad();
  const std::string_view content = bytes.substr(0, bytes.size() - kDigestDigits);
  if (!content.starts_with(kMagic) || Sha256Hex(content) != bytes.substr(content.size())) {
    return Bad();
  }
  Bytes in(content.substr(kMagic.size()));
  const auto format = in.Take<uint32_t>();
  if (format != kFormat && format != kFormatWithoutPreferences) return Bad();
  ShardIndex index;
  const auto keys = in.Take<uint32_t>();
  const auto lines = in.Take<uint64_t>();
  const size_t kinds = format == kFormat ? kRowKinds : kRowKinds - 1;
  for (size_t kind = 0; kind < kinds; ++kind) index.kinds[kind] = in.Take<uint64_t>();
  index.sha256 = in.Take(kDigestDigits);
  for (uint32_t i = 0; i < keys && in.ok(); ++i) {
    const std::string key(in.Take(in.Take<uint32_t>()));
    index.metadata_keys[key] = in.Take<uint64_t>();
  }
  if (!in.ok() || lines != in.size() / kLineBytes || in.size() % kLineBytes != 0) return Bad();
  index.lines.resize(lines);
  for (IndexedLine& line : index.lines) {
    line.id.high = in.Take<uint64_t>();
    line.id.low = in.Take<uint64_t>();
    line.hash = in.Take<uint64_t>();
    line.characters = in.Take<uint32_t>();
  }
  return index;
}

std::string IndexFileOf(const Shard& shard) {
  return std::filesystem::path(shard.file).stem().string() + ".ids";
}

Result<ShardIndex> ReadShardIndex(const v1::DatasetVersion& version, const Shard& shard) {
  Result<std::string> bytes =
      ReadFile(std::filesystem::path(version.path()) / IndexFileOf(shard), kIndexBytesMax);
  if (bytes.ok()) {
    Result<ShardIndex> index = ParseShardIndex(*bytes);
    if (index.ok() && index->sha256 == shard.sha256 && index->lines.size() == shard.examples) {
      return index;
    }
  }
  return FromShard(version, shard);
}

}  // namespace attune::datasets
