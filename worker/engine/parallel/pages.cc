#include "worker/engine/parallel/pages.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace attune::engine {

at::Tensor ZeroPages(at::IntArrayRef shape, const at::Tensor& like) {
  const at::TensorOptions options = like.options().requires_grad(false);
  if (!like.is_cpu()) return at::zeros(shape, options);
  const size_t bytes = std::max<size_t>(1, c10::multiply_integers(shape) * like.element_size());
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return at::from_blob(
      pages, shape, [bytes](void* p) { munmap(p, bytes); }, options);
}

void ReturnFreedMemory() {
  malloc_trim(0);
}

}  // namespace attune::engine
