#pragma once

#include <cstdint>
#include <filesystem>

namespace attune {

// A file of real blocks that is given up when the disk is full, so that the state can still say so:
// a pause that cannot be committed helps nobody. Not thread-safe.
class SpaceReserve {
 public:
  SpaceReserve(std::filesystem::path path, uint64_t bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  // Makes the file if it is missing and the disk has several times its size free.
  void Restore();
  void Release();
  bool held() const;

 private:
  const std::filesystem::path path_;
  const uint64_t bytes_;
};

}  // namespace attune
