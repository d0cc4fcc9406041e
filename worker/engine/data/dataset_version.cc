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

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
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
  if (!IsPlainFileName(file) || shard.split.empty() || !IsSha256(shard.sha256)) {
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

Result<ShardText> ShardText::Open(const DatasetShard& shard) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(shard.file));
  return ShardText(shard, std::move(map));
}

std::string_view ShardText::bytes() const {
  return {reinterpret_cast<const char*>(map_->bytes().data()), map_->bytes().size()};
}

std::vector<std::string_view> ShardText::Parts(size_t bytes) const {
  std::vector<std::string_view> parts;
  std::string_view rest = this->bytes();
  while (!rest.empty()) {
    const size_t end = rest.size() <= bytes ? rest.npos : rest.find('\n', bytes - 1);
    parts.push_back(rest.substr(0, end == rest.npos ? rest.npos : end + 1));
    rest.remove_prefix(parts.back().size());
  }
  return parts;
}

Status ShardText::CheckContent() const {
  if (Sha256Hex(bytes()) == shard_->sha256) return Status();
  return Malformed(shard_->file, "the checksum does not match the content");
}

Status ShardText::CheckCount(uint64_t lines) const {
  if (lines == shard_->examples) return Status();
  return Malformed(shard_->file, std::to_string(lines) + " examples where the manifest has " +
                                     std::to_string(shard_->examples));
}

std::string_view NextLine(std::string_view* text) {
  while (!text->empty()) {
    const size_t end = std::min(text->find('\n'), text->size());
    const std::string_view line = text->substr(0, end);
    text->remove_prefix(std::min(end + 1, text->size()));
    if (!line.empty()) return line;
  }
  return {};
}

Status ReadShardLines(const DatasetShard& shard, size_t lines_max, const LineBatch& batch) {
  ATTUNE_ASSIGN_OR_RETURN(const ShardText text, ShardText::Open(shard));
  ATTUNE_RETURN_IF_ERROR(text.CheckContent());
  std::string_view rest = text.bytes();
  std::vector<std::string_view> lines;
  uint64_t count = 0;
  for (;;) {
    const std::string_view line = NextLine(&rest);
    if (!line.empty()) lines.push_back(line);
    if (lines.size() == lines_max || (line.empty() && !lines.empty())) {
      count += lines.size();
      ATTUNE_RETURN_IF_ERROR(batch(lines));
      lines.clear();
    }
    if (line.empty()) break;
  }
  return text.CheckCount(count);
}

}  // namespace attune::engine
