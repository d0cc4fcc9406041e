#pragma once

// Unpacks gzip and zstd as the bytes arrive.

#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/datasets/sources/byte_sink.h"

namespace attune::datasets {

enum class Compression { kNone, kGzip, kZstd };

// "", "gzip" or "zstd".
std::string_view CompressionName(Compression compression);

// So many bytes of a file tell its compression.
inline constexpr size_t kCompressionHead = 10;
// By the file's first bytes. kInvalidArgument for a format that is known and not read (xz, bzip2,
// zip, lz4, Arrow IPC), in words that say what to do.
Result<Compression> CompressionOf(std::string_view head);

// Hands what the bytes unpack to on to next. Several members or frames one after the other are one
// content (RFC 1952, 2.2). kInvalidArgument: damaged, cut off, or grown to more than
// kExpansionMax times its size, which no text does. Memory: zstd's window, at most 128 MiB.
inline constexpr uint64_t kExpansionMax = 250;
Result<std::unique_ptr<ByteSink>> MakeUnpacker(Compression compression,
                                               std::unique_ptr<ByteSink> next);

// Whether so much content out of so few bytes is a bomb. The first 64 MiB never are.
bool IsBomb(uint64_t bytes_in, uint64_t bytes_out);

// "it grows to more than 250 times its size: ...".
Status BombRefused();

}  // namespace attune::datasets
