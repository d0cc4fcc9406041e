#include "worker/engine/data/dataset_version.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"

namespace attune::engine {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kManifestBytesMax = 64 << 20;

Status Malformed(const std::filesystem::path& file, const std::string& what) {
  return DataLoss(file.string() + ": " + what + "; import the dataset again");
}

// A shard lies beside its manifest.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Result<DatasetShard> ReadEntry(const Json& entry, const std::filesystem::path& manifest) {
  auto text = [&](const char* key) {
    auto found = entry.find(key);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!entry.is_object() || !entry.contains("examples") ||
      !entry["examples"].is_number_unsigned()) {
    return Malformed(manifest, "a shard has no \"examples\"");
  }
  DatasetShard shard;
  std::string file = text("file");
  shard.split = text("split");
  shard.sha256 = text("sha256");
  shard.examples = entry["examples"].get<uint64_t>();
  if (!IsPlainFileName(file) || shard.split.empty() || shard.sha256.empty()) {
    return Malformed(manifest, "a shard lacks a plain \"file\", a \"split\" or a \"sha256\"");
  }
  shard.file = manifest.parent_path() / file;
  return shard;
}

}  // namespace

uint64_t DatasetVersionFiles::Examples(std::string_view split) const {
  uint64_t sum = 0;
  for (const DatasetShard& shard : shards) {
    if (shard.split == split) sum += shard.examples;
  }
  return sum;
}

Result<DatasetVersionFiles> ReadManifest(const DatasetFiles& dataset) {
  std::filesystem::path path = dataset.path / "manifest.json";
  ATTUNE_ASSIGN_OR_RETURN(std::string content, ReadFile(path, kManifestBytesMax));
  Json manifest = Json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !manifest.contains("shards") || !manifest["shards"].is_array()) {
    return Malformed(path, "not a manifest");
  }
  DatasetVersionFiles version;
  auto checksum = manifest.find("checksum");
  if (checksum == manifest.end() || !checksum->is_string())
    return Malformed(path, "no \"checksum\"");
  version.checksum = checksum->get<std::string>();
  if (!dataset.checksum.empty() && dataset.checksum != version.checksum) {
    return DataLoss("dataset " + dataset.reference + ": the manifest in " + dataset.path.string() +
                    " has another checksum than the registered version");
  }
  for (const Json& entry : manifest["shards"]) {
    ATTUNE_ASSIGN_OR_RETURN(DatasetShard shard, ReadEntry(entry, path));
    version.shards.push_back(std::move(shard));
  }
  return version;
}

Status ReadShardLines(const DatasetShard& shard, size_t lines_max, const LineBatch& batch) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(shard.file));
  auto bytes = map->bytes();
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (Sha256Hex(rest) != shard.sha256) {
    return Malformed(shard.file, "the checksum does not match the content");
  }
  std::vector<std::string_view> lines;
  uint64_t count = 0;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) lines.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (lines.size() == lines_max || (rest.empty() && !lines.empty())) {
      count += lines.size();
      ATTUNE_RETURN_IF_ERROR(batch(lines));
      lines.clear();
    }
  }
  if (count != shard.examples) {
    return Malformed(shard.file, std::to_string(count) + " examples where the manifest has " +
                                     std::to_string(shard.examples));
  }
  return Status();
}

}  // namespace attune::engine
