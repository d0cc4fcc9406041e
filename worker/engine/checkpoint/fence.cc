#include "worker/engine/checkpoint/fence.h"

#include <charconv>
#include <string>

#include "common/base/files.h"

namespace attune::engine {

Result<Fence> Fence::Take(const std::filesystem::path& folder, uint32_t generation) {
  if (generation == 0) return Fence();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + folder.string());
  Fence fence(folder / "generation", generation);
  Status status = fence.Check();
  if (status.code() == StatusCode::kNotFound) {
    status = WriteFileAtomically(fence.file_, std::to_string(generation) + "\n");
  }
  if (!status.ok()) return status;
  return fence;
}

Status Fence::Check() const {
  if (generation_ == 0) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadFile(file_, 64));
  uint32_t holder = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), holder);
  if (bad != std::errc() || (end != text.data() + text.size() && *end != '\n')) {
    return DataLoss(file_.string() + " does not hold a number");
  }
  if (holder == generation_) return Status();
  // An earlier attempt that was slow to start took the folder at the same moment.
  if (holder < generation_) return WriteFileAtomically(file_, std::to_string(generation_) + "\n");
  return Cancelled("attempt " + std::to_string(holder) + " has taken over from attempt " +
                   std::to_string(generation_) + ", which writes nothing more");
}

}  // namespace attune::engine
