#include <algorithm>

#include "common/base/parallel_for.h"
#include "worker/text/rust_result.h"
#include "worker/text/text.h"

namespace attune::text {
namespace {

// Texts that a thread takes at a time: enough to make the counter cheap, few enough to share the
// end.
constexpr size_t kTextsATurn = 16;
constexpr int kThreadsMax = 256;

Result<std::vector<uint32_t>> EncodeIds(const void* handle, std::string_view text,
                                        bool add_special) {
  OwnedIds ids;
  OwnedBytes error;
  int32_t code = attune_tokenizer_encode(handle, Bytes(text), text.size(), add_special, ids.out(),
                                         nullptr, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return ids.ToVector();
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::FromJson(std::string_view json) {
  void* handle = nullptr;
  OwnedBytes error;
  int32_t code = attune_tokenizer_new(Bytes(json), json.size(), &handle, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(handle));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::Framed(std::string_view bos,
                                                           std::string_view eos) const {
  void* handle = nullptr;
  OwnedBytes error;
  int32_t code = attune_tokenizer_framed(handle_, Bytes(bos), bos.size(), Bytes(eos), eos.size(),
                                         &handle, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(handle));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::ByCrate() const {
  void* handle = nullptr;
  OwnedBytes error;
  int32_t code = attune_tokenizer_by_crate(handle_, &handle, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(handle));
}

bool Tokenizer::fast() const {
  return attune_tokenizer_is_fast(handle_) != 0;
}

Tokenizer::~Tokenizer() {
  attune_tokenizer_free(handle_);
}

Result<Encoding> Tokenizer::Encode(std::string_view text, bool add_special) const {
  OwnedIds ids, offsets;
  OwnedBytes error;
  int32_t code = attune_tokenizer_encode(handle_, Bytes(text), text.size(), add_special, ids.out(),
                                         offsets.out(), error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  Encoding encoding;
  encoding.ids = ids.ToVector();
  encoding.offsets.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    encoding.offsets.emplace_back(offsets[2 * i], offsets[2 * i + 1]);
  }
  return encoding;
}

Result<std::vector<std::vector<uint32_t>>> Tokenizer::EncodeBatch(
    const std::vector<std::string_view>& texts, bool add_special, int threads) const {
  std::vector<std::vector<uint32_t>> encoded(texts.size());
  const size_t turns = (texts.size() + kTextsATurn - 1) / kTextsATurn;
  ATTUNE_RETURN_IF_ERROR(
      ParallelFor(turns, std::clamp(threads, 1, kThreadsMax), [&](size_t turn) -> Status {
        const size_t begin = turn * kTextsATurn;
        for (size_t i = begin; i < std::min(begin + kTextsATurn, texts.size()); ++i) {
          auto ids = EncodeIds(handle_, texts[i], add_special);
          if (!ids.ok()) return ids.status().WithContext("text " + std::to_string(i));
          encoded[i] = std::move(*ids);
        }
        return Status();
      }));
  return encoded;
}

Result<StartedIds> Tokenizer::EncodeAfter(std::string_view text, size_t start_bytes,
                                          bool add_special) const {
  OwnedIds ids;
  OwnedBytes error;
  StartedIds started;
  int32_t code = attune_tokenizer_encode_after(handle_, Bytes(text), text.size(), start_bytes,
                                               add_special, ids.out(), &started.same, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  started.ids = ids.ToVector();
  return started;
}

Result<std::string> Tokenizer::Decode(const std::vector<uint32_t>& ids, bool skip_special) const {
  OwnedBytes text, error;
  int32_t code = attune_tokenizer_decode(handle_, ids.data(), ids.size(), skip_special, text.out(),
                                         error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return text.ToString();
}

uint32_t Tokenizer::vocabulary_size() const {
  return attune_tokenizer_size(handle_);
}

int64_t Tokenizer::TokenToId(std::string_view token) const {
  return attune_tokenizer_token_to_id(handle_, Bytes(token), token.size());
}

}  // namespace attune::text
