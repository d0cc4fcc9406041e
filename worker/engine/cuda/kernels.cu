// The kernels of gpu_kernels.h. Sums run in a fixed order, so that a step gives the same bits each
// time it is run on the same card.

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_bf16.h>

#include <cmath>

#include "worker/engine/kernels/gpu_kernels.h"

namespace attune::engine::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

// 16 bytes, or one value where a row is no multiple of that.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

template <int N, typename T>
__device__ void Load(const T* from, float (&to)[N]) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = static_cast<float>(pack.v[i]);
}

template <int N, typename T>
__device__ void Store(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.v[i] = static_cast<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

__device__ float WarpSum(float value) {
#pragma unroll
  for (int lane = kWarp / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(~0u, value, lane);
  return value;
}

// The same in every thread.
__device__ float BlockSum(float value) {
  __shared__ float sums[kWarp];
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = WarpSum(value);
  __syncthreads();  // of an earlier call, all have read
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < warps; ++i) sum += sums[i];
  return sum;
}

template <typename T, int N>
__global__ void RmsNorm(const T* x, const float* w, T* h, float* rstd, int64_t cols, float eps) {
  const int64_t row = blockIdx.x;
  x += row * cols;
  h += row * cols;
  float sum = 0;
  for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
    float values[N];
    Load<N>(x + c, values);
    for (const float v : values) sum += v * v;
  }
  const float scale = rsqrtf(BlockSum(sum) / static_cast<float>(cols) + eps);
  if (threadIdx.x == 0) rstd[row] = scale;
  for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
    float values[N], weights[N];
    Load<N>(x + c, values);
    Load<N>(w + c, weights);
    for (int i = 0; i < N; ++i) values[i] = values[i] * scale * weights[i];
    Store<N>(h + c, values);
  }
}

// A block takes every gridDim.x-th row, and a thread the same columns of each.
template <typename T, int N>
__global__ void RmsNormBackward(const T* dh, const T* x, const float* w, const float* rstd, T* dx,
                                float* partial, int64_t rows, int64_t cols) {
  extern __shared__ float dw[];
  if (partial != nullptr) {
    for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
      for (int i = 0; i < N; ++i) dw[c + i] = 0;
    }
  }
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = row * cols;
    const float scale = rstd[row];
    float sum = 0;
    for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
      float d[N], values[N], weights[N];
      Load<N>(dh + at + c, d);
      Load<N>(x + at + c, values);
      Load<N>(w + c, weights);
      for (int i = 0; i < N; ++i) sum += d[i] * weights[i] * values[i] * scale;
    }
    const float mean = BlockSum(sum) / static_cast<float>(cols);
    for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
      float d[N], values[N], weights[N], out[N];
      Load<N>(dh + at + c, d);
      Load<N>(x + at + c, values);
      Load<N>(w + c, weights);
      Load<N>(dx + at + c, out);
      for (int i = 0; i < N; ++i) {
        const float normalized = values[i] * scale;
        out[i] += (d[i] * weights[i] - normalized * mean) * scale;
        if (partial != nullptr) dw[c + i] += d[i] * normalized;
      }
      Store<N>(dx + at + c, out);
    }
  }
  if (partial == nullptr) return;
  partial += blockIdx.x * cols;
  for (int64_t c = threadIdx.x * N; c < cols; c += kThreads * N) {
    for (int i = 0; i < N; ++i) partial[c + i] = dw[c + i];
  }
}

template <typename T, int N>
__global__ void Rotate(T* x, int64_t stride, int64_t count, int64_t heads, int64_t half,
                       const float* cos, const float* sin, float sign) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t parts = half / N;
  const int64_t row = i / (heads * parts), head = i / parts % heads, at = i % parts * N;
  T* const first = x + row * stride + head * 2 * half + at;
  T* const second = first + half;
  float a[N], b[N], c[N], s[N], p[N], q[N];
  Load<N>(first, a);
  Load<N>(second, b);
  Load<N>(cos + row * half + at, c);
  Load<N>(sin + row * half + at, s);
  for (int k = 0; k < N; ++k) {
    p[k] = a[k] * c[k] - b[k] * s[k] * sign;
    q[k] = b[k] * c[k] + a[k] * s[k] * sign;
  }
  Store<N>(first, p);
  Store<N>(second, q);
}

__device__ float Sigmoid(float x) {
  return 1 / (1 + expf(-x));
}

template <typename T, int N>
__global__ void Swiglu(const T* gate_up, T* out, int64_t count, int64_t cols) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= count) return;
  const T* const from = gate_up + i / cols * 2 * cols + i % cols;
  float gate[N], up[N];
  Load<N>(from, gate);
  Load<N>(from + cols, up);
  for (int k = 0; k < N; ++k) up[k] *= gate[k] * Sigmoid(gate[k]);
  Store<N>(out + i, up);
}

template <typename T, int N>
__global__ void SwigluBackward(const T* dout, const T* gate_up, T* gradient, int64_t count,
                               int64_t cols) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= count) return;
  const int64_t at = i / cols * 2 * cols + i % cols;
  float d[N], gate[N], up[N];
  Load<N>(dout + i, d);
  Load<N>(gate_up + at, gate);
  Load<N>(gate_up + at + cols, up);
  for (int k = 0; k < N; ++k) {
    const float s = Sigmoid(gate[k]), by_gate = d[k] * up[k] * s * (1 + gate[k] * (1 - s));
    up[k] = d[k] * gate[k] * s;
    gate[k] = by_gate;
  }
  Store<N>(gradient + at, gate);
  Store<N>(gradient + at + cols, up);
}

// The largest value and the sum of exp(value - largest) of two parts together. fmaxf passes over
// NaN, so that the sum carries it.
struct Softmax {
  float largest, sum;
};
__device__ Softmax Join(Softmax a, Softmax b) {
  const float largest = fmaxf(a.largest, b.largest);
  if (largest == -INFINITY) return {largest, a.sum + b.sum};
  return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
}

constexpr int kLossThreads = 1024;

template <typename T, int N>
__global__ void CrossEntropy(T* logits, const int64_t* targets, float* losses, int64_t cols,
                             bool gradient) {
  __shared__ Softmax parts[kWarp];
  logits += blockIdx.x * cols;
  const int64_t target = targets[blockIdx.x];
  const bool known = target >= 0 && target < cols;
  const float wanted = known ? static_cast<float>(logits[target]) : NAN;
  Softmax mine{-INFINITY, 0};
  for (int64_t c = threadIdx.x * N; c < cols; c += kLossThreads * N) {
    float values[N];
    Load<N>(logits + c, values);
    Softmax pack{values[0], 0};
    for (const float v : values) pack.largest = fmaxf(pack.largest, v);
    for (const float v : values) pack.sum += v == -INFINITY ? 0 : expf(v - pack.largest);
    mine = Join(mine, pack);
  }
  for (int lane = kWarp / 2; lane > 0; lane /= 2) {
    mine = Join(mine,
                {__shfl_xor_sync(~0u, mine.largest, lane), __shfl_xor_sync(~0u, mine.sum, lane)});
  }
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = mine;
  __syncthreads();  // and all have read the target's logit
  Softmax whole = parts[0];
  for (int i = 1; i < kLossThreads / kWarp; ++i) whole = Join(whole, parts[i]);
  if (threadIdx.x == 0) losses[blockIdx.x] = logf(whole.sum) + whole.largest - wanted;
  if (!gradient) return;
  const float scale = 1 / whole.sum;
  for (int64_t c = threadIdx.x * N; c < cols; c += kLossThreads * N) {
    float values[N];
    Load<N>(logits + c, values);
    for (int i = 0; i < N; ++i) {
      values[i] = expf(values[i] - whole.largest) * scale - (c + i == target ? 1.0f : 0.0f);
    }
    Store<N>(logits + c, values);
  }
}

struct Counter {
  uint32_t word[4];
};

__device__ Counter Philox(uint64_t seed, Counter c) {
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(c.word[0], 0xD2511F53u), low0 = c.word[0] * 0xD2511F53u;
    const uint32_t high1 = __umulhi(c.word[2], 0xCD9E8D57u), low1 = c.word[2] * 0xCD9E8D57u;
    c = {high1 ^ c.word[1] ^ key0, low1, high0 ^ c.word[3] ^ key1, low0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// A thread makes the 8 halves of one counter: as many values, 16 apart.
template <typename T>
__global__ void Dropout(DropoutMask mask, const RowPlace* places, const T* x, T* out, int64_t count,
                        int64_t counters, int64_t cols, bool accumulate) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / counters;
  const auto counter = static_cast<uint32_t>(i % counters);
  const Counter bits =
      Philox(mask.seed, {{counter, places[row].position, places[row].example, mask.module}});
  const int64_t start = counter / 16 * 128 + counter % 16;
#pragma unroll
  for (int half = 0; half < 8; ++half) {
    const int64_t col = start + half * 16;
    if (col >= cols) return;
    const uint32_t value = bits.word[half / 2] >> (half % 2 * 16) & 0xffff;
    const int64_t at = row * cols + col;
    const float kept = value >= mask.threshold ? static_cast<float>(x[at]) * mask.scale : 0.0f;
    out[at] = static_cast<T>(accumulate ? static_cast<float>(out[at]) + kept : kept);
  }
}

// A thread makes the two numbers of a byte, which are of one block.
template <typename T>
__global__ void DequantizeNf4(const uint8_t* codes, const float* values, const float* scales,
                              T* out, int64_t numbers) {
  __shared__ float value[16];
  if (threadIdx.x < 16) value[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  const int64_t byte = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t i = 2 * byte;
  if (i >= numbers) return;
  const float scale = scales[i / 64];
  out[i] = static_cast<T>(value[codes[byte] >> 4] * scale);
  if (i + 1 < numbers) out[i + 1] = static_cast<T>(value[codes[byte] & 15] * scale);
}

template <typename T, int N>
struct Width {
  using Type = T;
  static constexpr int kCount = N;
};

// Calls body with the type of the values and how many of them are taken at once: 16 bytes where
// `multiple` (of the row's length and all offsets) and the pointers allow it.
template <typename Body>
void Dispatch(const GpuCall& call, int64_t multiple, std::initializer_list<const void*> pointers,
              const Body& body) {
  bool aligned = true;
  for (const void* p : pointers) aligned = aligned && reinterpret_cast<uintptr_t>(p) % 16 == 0;
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(call.device));
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  if (call.half) {
    if (aligned && multiple % 8 == 0) {
      body(Width<__nv_bfloat16, 8>(), stream);
    } else {
      body(Width<__nv_bfloat16, 1>(), stream);
    }
  } else if (aligned && multiple % 4 == 0) {
    body(Width<float, 4>(), stream);
  } else {
    body(Width<float, 1>(), stream);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

unsigned Blocks(int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

void RunRmsNorm(const GpuCall& call, const void* x, const float* w, void* h, float* rstd,
                int64_t rows, int64_t cols, float eps) {
  if (rows == 0) return;
  Dispatch(call, cols, {x, w, h}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    RmsNorm<T, W::kCount><<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(
        static_cast<const T*>(x), w, static_cast<T*>(h), rstd, cols, eps);
  });
}

void RunRmsNormBackward(const GpuCall& call, const void* dh, const void* x, const float* w,
                        const float* rstd, void* dx, float* partial, int64_t rows, int64_t cols) {
  if (rows == 0 && partial == nullptr) return;
  const int64_t blocks = partial == nullptr ? rows : kNormParts;
  static_assert((kNormColsMost + kWarp) * sizeof(float) <= 48 << 10);  // dw and BlockSum's
  const size_t room = partial == nullptr ? 0 : static_cast<size_t>(cols) * sizeof(float);
  Dispatch(call, cols, {dh, x, w, dx}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    RmsNormBackward<T, W::kCount><<<static_cast<unsigned>(blocks), kThreads, room, stream>>>(
        static_cast<const T*>(dh), static_cast<const T*>(x), w, rstd, static_cast<T*>(dx), partial,
        rows, cols);
  });
}

void RunRotate(const GpuCall& call, void* x, int64_t stride, int64_t rows, int64_t heads,
               int64_t dim, const float* cos, const float* sin, float sign) {
  if (rows == 0) return;
  const int64_t half = dim / 2, multiple = stride % 8 == 0 ? half : 1;
  Dispatch(call, multiple, {x, cos, sin}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    const int64_t count = rows * heads * (half / W::kCount);
    Rotate<T, W::kCount><<<Blocks(count), kThreads, 0, stream>>>(static_cast<T*>(x), stride, count,
                                                                 heads, half, cos, sin, sign);
  });
}

void RunSwiglu(const GpuCall& call, const void* gate_up, void* out, int64_t rows, int64_t cols) {
  if (rows == 0) return;
  Dispatch(call, cols, {gate_up, out}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    Swiglu<T, W::kCount><<<Blocks(rows * cols / W::kCount), kThreads, 0, stream>>>(
        static_cast<const T*>(gate_up), static_cast<T*>(out), rows * cols, cols);
  });
}

void RunSwigluBackward(const GpuCall& call, const void* dout, const void* gate_up, void* dgate_up,
                       int64_t rows, int64_t cols) {
  if (rows == 0) return;
  Dispatch(call, cols, {dout, gate_up, dgate_up}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    SwigluBackward<T, W::kCount><<<Blocks(rows * cols / W::kCount), kThreads, 0, stream>>>(
        static_cast<const T*>(dout), static_cast<const T*>(gate_up), static_cast<T*>(dgate_up),
        rows * cols, cols);
  });
}

void RunCrossEntropy(const GpuCall& call, void* logits, const int64_t* targets, float* losses,
                     int64_t rows, int64_t cols, bool gradient) {
  if (rows == 0) return;
  Dispatch(call, cols, {logits}, [&](auto width, cudaStream_t stream) {
    using W = decltype(width);
    using T = typename W::Type;
    CrossEntropy<T, W::kCount><<<static_cast<unsigned>(rows), kLossThreads, 0, stream>>>(
        static_cast<T*>(logits), targets, losses, cols, gradient);
  });
}

void RunDropout(const GpuCall& call, const DropoutMask& mask, const RowPlace* places, const void* x,
                void* out, int64_t rows, int64_t cols, bool accumulate) {
  if (rows == 0) return;
  const int64_t counters = (cols + 127) / 128 * 16;
  Dispatch(call, 1, {}, [&](auto width, cudaStream_t stream) {
    using T = typename decltype(width)::Type;
    Dropout<T><<<Blocks(rows * counters), kThreads, 0, stream>>>(
        mask, places, static_cast<const T*>(x), static_cast<T*>(out), rows * counters, counters,
        cols, accumulate);
  });
}

void RunDequantizeNf4(const GpuCall& call, const uint8_t* codes, const float* values,
                      const float* scales, void* out, int64_t numbers) {
  if (numbers == 0) return;
  Dispatch(call, 1, {}, [&](auto width, cudaStream_t stream) {
    using T = typename decltype(width)::Type;
    DequantizeNf4<T><<<Blocks((numbers + 1) / 2), kThreads, 0, stream>>>(
        codes, values, scales, static_cast<T*>(out), numbers);
  });
}

int Generation(int device) {
  int major = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major;
}

std::string Name(int device) {
  cudaDeviceProp properties{};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const GpuKernels attune_gpu_kernels = {
    .rms_norm = RunRmsNorm,
    .rms_norm_backward = RunRmsNormBackward,
    .rotate = RunRotate,
    .swiglu = RunSwiglu,
    .swiglu_backward = RunSwigluBackward,
    .cross_entropy = RunCrossEntropy,
    .dropout = RunDropout,
    .dequantize_nf4 = RunDequantizeNf4,
    .generation = Generation,
    .name = Name,
};

}  // namespace attune::engine::kernels
