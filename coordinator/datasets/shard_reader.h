#pragma once

// Reads back what ShardWriter and ManifestJson wrote, with one line in memory at a time. The record
// in the store has the checksum of the shards' checksums, so that any damage is seen.

#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/shard.h"

namespace attune::datasets {

// The shards of a version, as its manifest.json has them. kDataLoss when it is not the manifest of
// this version.
Result<std::vector<Shard>> ReadManifest(const v1::DatasetVersion& version);
// The same of whatever version lies there. kDataLoss when it is no manifest, or missing.
Result<std::vector<Shard>> ReadShardList(const std::filesystem::path& manifest);

// Hands over each line without its end, in order; the first error of take is returned. kDataLoss,
// naming the file, when the shard is not what the manifest says: that is known only after the last
// line was handed over, so whatever was made of them is to be thrown away.
using TakeLine = std::function<Status(std::string_view line)>;
Status ReadShard(const v1::DatasetVersion& version, const Shard& shard, const TakeLine& take);

// kDataLoss when the shard is missing or has another size, for which nothing of it is read.
Status CheckShardSize(const v1::DatasetVersion& version, const Shard& shard);

}  // namespace attune::datasets
