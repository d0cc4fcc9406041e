#pragma once

// The signatures of a shard's rows, kept beside it, so that whoever appends to a version need not
// read its rows again. A file that is missing or does not pass is no loss: signatures follow from
// the rows.
//
// Little-endian: "attuneMH", the version of the format and of the signatures (u32), kPermutations
// (u32), rows (u64), the shard's SHA-256 (64 hexadecimal digits), 128 bytes a row, the SHA-256 of
// all that (64 hexadecimal digits).

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/curation/signature.h"

namespace attune::curation {

// Changes when SignatureOf gives other bytes for any text.
inline constexpr uint32_t kSignatureVersion = 1;

// shard_sha256: 64 hexadecimal digits.
std::string FormatSignatureFile(std::string_view shard_sha256,
                                std::span<const Signature> signatures);

// Of the bytes of such a file: the signatures, as a view of them. kDataLoss when it is not the
// file of this shard or of another version, or is damaged.
Result<std::span<const Signature>> ParseSignatureFile(std::span<const std::byte> bytes,
                                                      std::string_view shard_sha256);

}  // namespace attune::curation
