#pragma once

// Numbers in files: little-endian on every machine. Private to this folder.

#include <cstddef>
#include <cstdint>
#include <string>

namespace attune::ledger {

uint32_t LoadU32(const void* bytes);
uint64_t LoadU64(const void* bytes);
void AppendU32(uint32_t number, std::string* bytes);
void AppendU64(uint64_t number, std::string* bytes);

}  // namespace attune::ledger
