#include "coordinator/datasets/sources/unpack.h"

#include <arrow/util/compression.h>

namespace attune::datasets {
namespace {

constexpr size_t kOutBytes = 256 << 10;
constexpr uint64_t kNeverABombBytes = 64 << 20;

struct Magic {
  size_t at;
  std::string_view bytes;
  const char* name;
};
constexpr Magic kNotRead[] = {{0, "\xFD\x37zXZ", "xz"},
                              {4, "1AY&SY", "bzip2"},
                              {0, "PK\x03\x04", "zip"},
                              {0, "\x04\x22\x4D\x18", "lz4"},
                              {0, "ARROW1", "Arrow IPC"}};

class Unpacker final : public ByteSink {
 public:
  Unpacker(Compression compression, std::unique_ptr<arrow::util::Codec> codec,
           std::shared_ptr<arrow::util::Decompressor> decompressor, std::unique_ptr<ByteSink> next)
      : name_(CompressionName(compression)),
        codec_(std::move(codec)),
        decompressor_(std::move(decompressor)),
        next_(std::move(next)) {}

  Status Append(std::string_view bytes) override {
    in_ += bytes.size();
    // Without input there may be more output still.
    for (bool full = false; !bytes.empty() || full;) {
      if (decompressor_->IsFinished()) {
        if (bytes.empty()) break;
        ATTUNE_RETURN_IF_ERROR(Damaged(decompressor_->Reset()));
      }
      auto step = decompressor_->Decompress(
          static_cast<int64_t>(bytes.size()), reinterpret_cast<const uint8_t*>(bytes.data()),
          static_cast<int64_t>(buffer_.size()), reinterpret_cast<uint8_t*>(buffer_.data()));
      ATTUNE_RETURN_IF_ERROR(Damaged(step.status()));
      if (step->bytes_read == 0 && step->bytes_written == 0 && !bytes.empty()) {
        return InvalidArgument("its " + name_ + " data is damaged");
      }
      bytes.remove_prefix(static_cast<size_t>(step->bytes_read));
      const size_t written = static_cast<size_t>(step->bytes_written);
      full = written == buffer_.size();
      out_ += written;
      if (IsBomb(in_, out_)) return BombRefused();
      ATTUNE_RETURN_IF_ERROR(next_->Append(std::string_view(buffer_).substr(0, written)));
    }
    return Status();
  }

  Status End() override {
    if (in_ > 0 && !decompressor_->IsFinished()) {
      return InvalidArgument("cut off in the middle of its " + name_ +
                             " data: write or copy it again");
    }
    return next_->End();
  }

 private:
  Status Damaged(const arrow::Status& status) const {
    if (status.ok()) return Status();
    return InvalidArgument("its " + name_ + " data is damaged: " + status.message());
  }

  const std::string name_;
  const std::unique_ptr<arrow::util::Codec> codec_;
  const std::shared_ptr<arrow::util::Decompressor> decompressor_;
  const std::unique_ptr<ByteSink> next_;
  std::string buffer_ = std::string(kOutBytes, '\0');
  uint64_t in_ = 0, out_ = 0;
};

}  // namespace

std::string_view CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
  }
  return "";
}

Result<Compression> CompressionOf(std::string_view head) {
  if (head.starts_with("\x1F\x8B")) return Compression::kGzip;
  if (head.starts_with("\x28\xB5\x2F\xFD")) return Compression::kZstd;
  for (const Magic& magic : kNotRead) {
    if (head.size() < magic.at || !head.substr(magic.at).starts_with(magic.bytes)) continue;
    return InvalidArgument(std::string(magic.name) +
                           " is not read: make it JSONL, CSV or Parquet, plain or packed "
                           "with gzip or zstd");
  }
  return Compression::kNone;
}

Result<std::unique_ptr<ByteSink>> MakeUnpacker(Compression compression,
                                               std::unique_ptr<ByteSink> next) {
  if (compression == Compression::kNone) return next;
  auto codec = arrow::util::Codec::Create(
      compression == Compression::kGzip ? arrow::Compression::GZIP : arrow::Compression::ZSTD);
  if (!codec.ok()) return Internal(codec.status().message());
  auto decompressor = (*codec)->MakeDecompressor();
  if (!decompressor.ok()) return Internal(decompressor.status().message());
  return std::unique_ptr<ByteSink>(std::make_unique<Unpacker>(
      compression, *std::move(codec), *std::move(decompressor), std::move(next)));
}

bool IsBomb(uint64_t bytes_in, uint64_t bytes_out) {
  return bytes_out > kNeverABombBytes && bytes_out / kExpansionMax > bytes_in;
}

Status BombRefused() {
  return InvalidArgument("it grows to more than " + std::to_string(kExpansionMax) +
                         " times its size: that is no text, and nothing to learn from");
}

}  // namespace attune::datasets
