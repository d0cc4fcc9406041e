#include "coordinator/drift/profile.h"

#include <algorithm>
#include <cstring>

#include "common/base/files.h"
#include "common/base/hash.h"

namespace attune::drift {
namespace {

constexpr size_t kWordsMax = 20'000;
constexpr uint64_t kBytesMax = 1ull << 30;
// A new number makes every profile anew.
constexpr const char* kFormat = "profile 2";

void SetWords(const Sample& sample, v1::ReferenceProfile* profile) {
  std::vector<std::pair<uint64_t, std::string>> words;
  for (const auto& [word, count] : sample.words) words.emplace_back(count, word);
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (words.size() > kWordsMax) words.resize(kWordsMax);
  for (const auto& [count, word] : words) (*profile->mutable_words())[word] = count;
}

}  // namespace

std::string ProfileKey(const v1::ReferenceProfile& of) {
  std::vector<std::string> parts;
  for (const v1::ReferencePart& part : of.parts()) {
    parts.push_back(part.dataset() + " " + part.split() + " " + std::to_string(part.examples()));
  }
  std::vector<std::string> categories(of.categories().begin(), of.categories().end());
  std::sort(parts.begin(), parts.end());
  std::sort(categories.begin(), categories.end());
  std::string text = std::string(kFormat) + "\n" + of.model() + "\n";
  for (const std::string& part : parts) text += part + "\n";
  for (const std::string& category : categories) {
    text += std::to_string(category.size()) + " " + category + "\n";
  }
  return Sha256Hex(text).substr(0, 32);
}

Result<std::string> WriteProfile(const std::filesystem::path& path, v1::ReferenceProfile profile,
                                 const Sample& sample) {
  profile.set_dimension(static_cast<uint32_t>(sample.dimension));
  profile.set_embeddings(sample.embeddings.data(), sample.embeddings.size() * sizeof(float));
  for (const std::string& id : sample.ids) profile.add_ids(id);
  for (double value : sample.lengths) profile.add_lengths(value);
  for (double value : sample.losses) profile.add_losses(value);
  for (double value : sample.entropies) profile.add_entropies(value);
  for (double value : sample.labelled_losses) profile.add_labelled_losses(value);
  for (const auto& [category, values] : sample.categories) {
    auto& shares = *(*profile.mutable_shares())[category].mutable_examples();
    for (const auto& [value, count] : values) shares[value] = count;
  }
  SetWords(sample, &profile);
  const std::string bytes = profile.SerializeAsString();
  ATTUNE_RETURN_IF_ERROR(CreateFolders(path.parent_path()));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
  return Sha256Hex(bytes);
}

Result<Sample> ReadProfile(const std::filesystem::path& path, const std::string& sha256) {
  ATTUNE_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kBytesMax));
  v1::ReferenceProfile profile;
  if (Sha256Hex(bytes) != sha256 || !profile.ParseFromString(bytes)) {
    return DataLoss(path.string() + " is not what was written");
  }
  Sample sample;
  sample.dimension = static_cast<int>(profile.dimension());
  sample.embeddings.resize(profile.embeddings().size() / sizeof(float));
  std::memcpy(sample.embeddings.data(), profile.embeddings().data(),
              sample.embeddings.size() * sizeof(float));
  sample.ids.assign(profile.ids().begin(), profile.ids().end());
  sample.texts.resize(sample.ids.size());
  sample.lengths.assign(profile.lengths().begin(), profile.lengths().end());
  sample.losses.assign(profile.losses().begin(), profile.losses().end());
  sample.entropies.assign(profile.entropies().begin(), profile.entropies().end());
  sample.labelled_losses.assign(profile.labelled_losses().begin(), profile.labelled_losses().end());
  for (const auto& [category, shares] : profile.shares()) {
    for (const auto& [value, count] : shares.examples()) sample.categories[category][value] = count;
  }
  for (const auto& [word, count] : profile.words()) sample.words[word] = count;
  return sample;
}

}  // namespace attune::drift
