#include "worker/engine/parallel/pages.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <string>

#include "common/base/files.h"

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

Result<at::Tensor> FilePages(at::IntArrayRef shape, at::ScalarType type,
                             const std::filesystem::path& folder) {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  std::string name = (folder / ".pages.XXXXXX").string();
  const int file = mkstemp(name.data());
  if (file < 0) return ErrnoStatus(errno, "create " + name);
  unlink(name.c_str());
  const size_t bytes = std::max<size_t>(1, c10::multiply_integers(shape) * c10::elementSize(type));
  // Room that is missing must show here: where a page cannot be written out, there is only a
  // signal.
  const int failed = posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* pages =
      failed != 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const int error = failed != 0 ? failed : errno;
  close(file);
  if (pages == MAP_FAILED) return ErrnoStatus(error, "make room in " + folder.string());
  return at::from_blob(
      pages, shape, [bytes](void* p) { munmap(p, bytes); }, at::TensorOptions(type));
}

void ReturnFreedMemory() {
  malloc_trim(0);
}

}  // namespace attune::engine
