#include "coordinator/datasets/shard_reader.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/sources/line_reader.h"
#include "coordinator/datasets/version_writer.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kPieceBytes = 1 << 20;
// A row's numbers may be spelled longer in a shard ("1e9" becomes 1000000000.0).
constexpr size_t kShardLineBytesMax = 8 * kLineBytesMax;

Status Damaged(const fs::path& file, const std::string& what) {
  return DataLoss(file.string() + ": " + what + "; import the data set again");
}

std::string TextAt(const Json& entry, const char* key) {
  auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

uint64_t NumberAt(const Json& entry, const char* key) {
  auto found = entry.find(key);
  return found != entry.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

Result<std::vector<Shard>> ParseManifest(const std::string& content, const fs::path& file) {
  const Json manifest = Json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !manifest.contains("shards") || !manifest["shards"].is_array()) {
    return Damaged(file, "not a manifest");
  }
  std::vector<Shard> shards;
  for (const Json& entry : manifest["shards"]) {
    if (!entry.is_object()) return Damaged(file, "a shard is not an object");
    Shard shard{TextAt(entry, "file"), TextAt(entry, "split"), NumberAt(entry, "examples"),
                NumberAt(entry, "bytes"), TextAt(entry, "sha256")};
    if (!IsValidName(shard.file)) return Damaged(file, "a shard has no plain \"file\"");
    shards.push_back(std::move(shard));
  }
  return shards;
}

}  // namespace

Result<std::vector<Shard>> ReadShardList(const fs::path& manifest) {
  Result<std::string> content = ReadFile(manifest);
  if (!content.ok() && content.status().code() == StatusCode::kNotFound) {
    return Damaged(manifest, "is missing");
  }
  if (!content.ok()) return content.status();
  return ParseManifest(*content, manifest);
}

Result<std::vector<Shard>> ReadManifest(const v1::DatasetVersion& version) {
  const fs::path file = fs::path(version.path()) / "manifest.json";
  ATTUNE_ASSIGN_OR_RETURN(std::vector<Shard> shards, ReadShardList(file));
  if (ChecksumOf(shards) != version.checksum()) {
    return Damaged(file, "the shards' checksums are not those of the version");
  }
  return shards;
}

Status ReadShard(const v1::DatasetVersion& version, const Shard& shard, const TakeLine& take) {
  const fs::path file = fs::path(version.path()) / shard.file;
  std::ifstream in(file, std::ios::binary);
  if (!in && errno == ENOENT) return Damaged(file, "is missing");
  if (!in) return ErrnoStatus(errno, "read " + file.string());
  Sha256 hash;
  LineReader lines(kShardLineBytesMax, [&](const Line& line) {
    return line.too_long ? Damaged(file, "a line is too long") : take(line.text);
  });
  std::string piece(kPieceBytes, '\0');
  while (in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const std::string_view read(piece.data(), static_cast<size_t>(in.gcount()));
    hash.Update(read);
    ATTUNE_RETURN_IF_ERROR(lines.Append(read));
  }
  if (in.bad()) return ErrnoStatus(errno, "read " + file.string());
  ATTUNE_RETURN_IF_ERROR(lines.EndFile());
  if (hash.Hex() == shard.sha256) return Status();
  return Damaged(file, "the checksum does not match the content");
}

Status CheckShardSize(const v1::DatasetVersion& version, const Shard& shard) {
  const fs::path file = fs::path(version.path()) / shard.file;
  std::error_code error;
  const uint64_t bytes = fs::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory) return Damaged(file, "is missing");
  if (error) return ErrnoStatus(error.value(), "read " + file.string());
  if (bytes == shard.bytes) return Status();
  return Damaged(
      file, "has " + std::to_string(bytes) + " bytes instead of " + std::to_string(shard.bytes));
}

}  // namespace attune::datasets
