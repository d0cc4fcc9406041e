#include "coordinator/drift/samples.h"

#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <cstring>

#include "attune/v1/evaluation.pb.h"
#include "common/base/utf8.h"
#include "coordinator/drift/text.h"

namespace attune::drift {
namespace {

constexpr size_t kSampleTextBytes = 400;
// Fewer held-out examples say less of the loss than all of them, seen or not, do.
constexpr size_t kHeldOutMin = 50;

Result<v1::EmbedLine> ParseLine(std::string_view text) {
  v1::EmbedLine line;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  auto parsed = google::protobuf::util::JsonStringToMessage(std::string(text), &line, options);
  if (!parsed.ok() || line.id().empty() || line.embedding().size() % sizeof(float) != 0) {
    return DataLoss("a line of the EMBED job is none: " + Shorten(ToValidUtf8(text), 80));
  }
  return line;
}

}  // namespace

Status SampleBuilder::AddLine(std::string_view text, bool held_out) {
  ATTUNE_ASSIGN_OR_RETURN(v1::EmbedLine line, ParseLine(text));
  const int dimension = static_cast<int>(line.embedding().size() / sizeof(float));
  if (sample_.ids.empty()) sample_.dimension = dimension;
  if (dimension != sample_.dimension) {
    return DataLoss("embeddings of " + std::to_string(sample_.dimension) + " and of " +
                    std::to_string(dimension) + " numbers");
  }
  if (!index_.emplace(line.id(), sample_.ids.size()).second) return Status();
  const size_t at = sample_.embeddings.size();
  sample_.embeddings.resize(at + static_cast<size_t>(dimension));
  std::memcpy(sample_.embeddings.data() + at, line.embedding().data(), line.embedding().size());
  sample_.ids.push_back(line.id());
  sample_.texts.emplace_back();
  sample_.lengths.push_back(line.tokens());
  losses_.push_back({line.loss(), line.entropy(), held_out});
  return Status();
}

Status SampleBuilder::AddRow(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(RowFacts row, ReadShardLine(line));
  auto found = index_.find(row.id);
  if (found == index_.end() || found->second < part_begin_) return Status();
  ++sample_.words[row.text.substr(0, row.text.find(' '))];  // TEMP: AddText
  sample_.texts[found->second] = Shorten(row.text, kSampleTextBytes);
  for (const std::string& category : categories_) {
    auto value = row.metadata.find(category);
    ++sample_.categories[category][value == row.metadata.end() ? "(none)" : value->second];
  }
  const Loss& loss = losses_[found->second];
  if (!row.labelled || !std::isfinite(loss.loss)) return Status();
  labelled_.push_back(loss.loss);
  if (loss.held_out) labelled_held_out_.push_back(loss.loss);
  return Status();
}

Status SampleBuilder::Add(const ForEachLine& lines, const ForEachLine& rows,
                          const ForEachLine& held_out) {
  part_begin_ = sample_.ids.size();
  const bool all = held_out == nullptr;
  ATTUNE_RETURN_IF_ERROR(lines([&](std::string_view line) { return AddLine(line, all); }));
  if (!all) {
    ATTUNE_RETURN_IF_ERROR(held_out([&](std::string_view id) {
      auto found = index_.find(std::string(id));
      if (found != index_.end() && found->second >= part_begin_) {
        losses_[found->second].held_out = true;
      }
      return Status();
    }));
  }
  return rows([&](std::string_view line) { return AddRow(line); });
}

Result<Sample> SampleBuilder::Finish() {
  if (sample_.ids.empty()) return DataLoss("the EMBED job wrote no line");
  size_t held_out = 0;
  for (const Loss& loss : losses_) held_out += loss.held_out ? 1 : 0;
  const bool all = held_out < kHeldOutMin;
  for (const Loss& loss : losses_) {
    if (!all && !loss.held_out) continue;
    if (std::isfinite(loss.loss)) sample_.losses.push_back(loss.loss);
    if (std::isfinite(loss.entropy)) sample_.entropies.push_back(loss.entropy);
  }
  sample_.labelled_losses =
      labelled_held_out_.size() < kHeldOutMin ? labelled_ : labelled_held_out_;
  return std::move(sample_);
}

}  // namespace attune::drift
