#include "coordinator/drift/samples.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/base/utf8.h"
#include "coordinator/drift/text.h"
#include "coordinator/store/database.h"

namespace attune::drift {
namespace {

constexpr size_t kSampleTextBytes = 400;

// As v1::EmbedLine; a loss that is none (of a single token, or null, which is how JSON spells NaN)
// is NaN. Not read by protobuf, which takes null for 0: the best loss there is.
struct Line {
  std::string id, embedding;
  uint32_t tokens = 0;
  double loss = kNone, entropy = kNone;
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
};

Result<Line> ParseLine(std::string_view text) {
  const auto bad = [&] {
    return DataLoss("a line of the EMBED job is none: " + Shorten(ToValidUtf8(text), 80));
  };
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return bad();
  const auto id = json.find("id"), embedding = json.find("embedding"), tokens = json.find("tokens");
  if (id == json.end() || !id->is_string() || embedding == json.end() || !embedding->is_string() ||
      tokens == json.end() || !tokens->is_number_unsigned()) {
    return bad();
  }
  Line line;
  line.id = id->get<std::string>();
  line.tokens = tokens->get<uint32_t>();
  Result<std::string> bytes = DecodeBytes(embedding->get<std::string>());
  if (!bytes.ok() || bytes->size() % sizeof(float) != 0) return bad();
  line.embedding = *std::move(bytes);
  const auto number = [&](const char* key) {
    const auto found = json.find(key);
    const bool none = line.tokens < 2 || found == json.end() || !found->is_number();
    return none ? Line::kNone : found->get<double>();
  };
  line.loss = number("loss");
  line.entropy = number("entropy");
  return line;
}

}  // namespace

Status SampleBuilder::AddLine(std::string_view text, bool held_out) {
  ATTUNE_ASSIGN_OR_RETURN(Line line, ParseLine(text));
  const int dimension = static_cast<int>(line.embedding.size() / sizeof(float));
  if (sample_.ids.empty()) sample_.dimension = dimension;
  if (dimension != sample_.dimension) {
    return DataLoss("embeddings of " + std::to_string(sample_.dimension) + " and of " +
                    std::to_string(dimension) + " numbers");
  }
  if (!index_.emplace(line.id, sample_.ids.size()).second) return Status();
  const size_t at = sample_.embeddings.size();
  sample_.embeddings.resize(at + static_cast<size_t>(dimension));
  std::memcpy(sample_.embeddings.data() + at, line.embedding.data(), line.embedding.size());
  sample_.ids.push_back(line.id);
  sample_.texts.emplace_back();
  sample_.lengths.push_back(line.tokens);
  losses_.push_back({line.loss, line.entropy, held_out});
  return Status();
}

Status SampleBuilder::AddRow(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(RowFacts row, ReadShardLine(line));
  auto found = index_.find(row.id);
  if (found == index_.end() || found->second < part_begin_) return Status();
  AddText(row.text, &sample_);
  sample_.texts[found->second] = Shorten(row.text, kSampleTextBytes);
  for (const std::string& category : categories_) {
    auto value = row.metadata.find(category);
    ++sample_.categories[category][value == row.metadata.end() ? "(none)" : value->second];
  }
  const Loss& loss = losses_[found->second];
  if (row.labelled && loss.held_out && std::isfinite(loss.loss)) {
    sample_.labelled_losses.push_back(loss.loss);
  }
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
  for (const Loss& loss : losses_) {
    if (!loss.held_out) continue;
    if (std::isfinite(loss.loss)) sample_.losses.push_back(loss.loss);
    if (std::isfinite(loss.entropy)) sample_.entropies.push_back(loss.entropy);
  }
  return std::move(sample_);
}

}  // namespace attune::drift
