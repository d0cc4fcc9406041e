#include "worker/engine/formats/mapped_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace attune::engine {

void ReleaseMappedPages(std::span<const std::byte> part) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto data = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = data / page * page, end = data + part.size();
  // The file still has the pages, so that dropping them is no loss, nor is a failure to do so.
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace attune::engine
