#include "coordinator/datasets/loss_report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/base/utf8.h"
#include "coordinator/curation/reading_text.h"
#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/shard_lines.h"

namespace attune::datasets {

Status LossReport::Add(uint32_t number, const curation::Loss& loss, Place place,
                       std::string_view row) {
  std::array<char, 16> similarity;
  std::snprintf(similarity.data(), similarity.size(), "%.2f", loss.similarity);
  curation::Finding finding{
      loss.near_validation ? "near_validation" : "near_duplicate",
      "drop",
      std::move(place.file),
      place.line,
      FormatExampleId(examples_.id(number)),
      std::string(similarity.data()) + " like " + FormatExampleId(examples_.id(loss.of)),
      ""};
  if (!findings_.Count(finding)) return Status();
  if (row.empty()) {
    wordless_.push_back({number, std::move(finding)});
    return Status();
  }
  finding.words = Words(row);
  return findings_.Write(finding);
}

Status LossReport::Finish(const BaseVersion& base, const v1::DatasetVersion& version,
                          const CancelCheck& cancelled) {
  std::ranges::sort(wordless_, {}, &Wordless::number);
  auto next = wordless_.begin();
  uint32_t first = 0;
  return base.ForEachShard([&](const Shard& shard, uint32_t examples) -> Status {
    std::vector<uint64_t> lines;
    for (auto of_shard = next; of_shard != wordless_.end(); ++of_shard) {
      if (of_shard->number - first >= examples) break;
      lines.push_back(of_shard->number - first);
    }
    first += examples;
    if (lines.empty()) return Status();
    ATTUNE_RETURN_IF_ERROR(cancelled.Now());
    return ReadShardLinesAt(version, shard, lines, [&](uint64_t, std::string_view line) {
      next->finding.words = Words(line);
      return findings_.Write((next++)->finding);
    });
  });
}

std::string LossReport::Words(std::string_view row) const {
  const RowJson json = RowJson::parse(row, nullptr, /*allow_exceptions=*/false);
  const std::string text = json.is_object() ? curation::ReadingText(json) : std::string();
  return curator_ != nullptr ? curator_->FirstWords(text)
                             : Shorten(text, curation::kFirstWordsBytesMax);
}

}  // namespace attune::datasets
