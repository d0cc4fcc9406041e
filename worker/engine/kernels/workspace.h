#pragma once

// Scratch memory that a thread keeps between calls.

#include <cstdint>
#include <memory>
#include <new>

namespace attune::engine::kernels {

class Workspace {
 public:
  // At least this many floats, uninitialised, on a cache line; valid until the next call.
  float* Get(int64_t elements) {
    if (elements > size_) {
      data_.reset();
      size_ = 0;
      data_.reset(static_cast<float*>(
          ::operator new[](static_cast<size_t>(elements) * sizeof(float), std::align_val_t{64})));
      size_ = elements;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(float* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<float[], Free> data_;
  int64_t size_ = 0;
};

}  // namespace attune::engine::kernels
