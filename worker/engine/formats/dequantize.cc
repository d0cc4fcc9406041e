#include "worker/engine/formats/dequantize.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "worker/engine/formats/convert.h"

// This file is compiled with -ffp-contract=off: a fused multiply-add would round once where the
// reference rounds twice.

namespace attune::engine {
namespace {

float ReadHalf(const uint8_t* in) {
  uint16_t half;
  std::memcpy(&half, in, sizeof half);
  return HalfToFloat(half);
}

// Blocks of 32: low four bits of byte j are element j, high four bits element j + 16.

void Q4_0(const uint8_t* in, float* out) {
  float d = ReadHalf(in);
  const uint8_t* q = in + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((q[j] & 15) - 8);
    out[j + 16] = d * static_cast<float>((q[j] >> 4) - 8);
  }
}

void Q4_1(const uint8_t* in, float* out) {
  float d = ReadHalf(in), m = ReadHalf(in + 2);
  const uint8_t* q = in + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(q[j] & 15) + m;
    out[j + 16] = d * static_cast<float>(q[j] >> 4) + m;
  }
}

// The fifth bit of element j is bit j of high.
void Q5_0(const uint8_t* in, float* out) {
  float d = ReadHalf(in);
  uint32_t high;
  std::memcpy(&high, in + 2, sizeof high);
  const uint8_t* q = in + 6;
  for (int j = 0; j < 16; ++j) {
    int32_t low = (q[j] & 15) | static_cast<int32_t>((high >> j & 1) << 4);
    int32_t up = (q[j] >> 4) | static_cast<int32_t>((high >> (j + 16) & 1) << 4);
    out[j] = d * static_cast<float>(low - 16);
    out[j + 16] = d * static_cast<float>(up - 16);
  }
}

void Q5_1(const uint8_t* in, float* out) {
  float d = ReadHalf(in), m = ReadHalf(in + 2);
  uint32_t high;
  std::memcpy(&high, in + 4, sizeof high);
  const uint8_t* q = in + 8;
  for (int j = 0; j < 16; ++j) {
    int32_t low = (q[j] & 15) | static_cast<int32_t>((high >> j & 1) << 4);
    int32_t up = (q[j] >> 4) | static_cast<int32_t>((high >> (j + 16) & 1) << 4);
    out[j] = d * static_cast<float>(low) + m;
    out[j + 16] = d * static_cast<float>(up) + m;
  }
}

void Q8_0(const uint8_t* in, float* out) {
  float d = ReadHalf(in);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(static_cast<int8_t>(in[2 + j])) * d;
}

// Blocks of 256, in sub-blocks with scales of their own.

void Q2_K(const uint8_t* in, float* out) {
  const uint8_t* scales = in;
  const uint8_t* q = in + 16;
  float d = ReadHalf(in + 80), dmin = ReadHalf(in + 82);
  for (int sub = 0; sub < 16; ++sub) {
    float dl = d * static_cast<float>(scales[sub] & 15);
    float ml = dmin * static_cast<float>(scales[sub] >> 4);
    // Two sub-blocks share 32 bytes of which they take 16 each; four such pairs differ in the
    // shift.
    const uint8_t* bytes = q + 32 * (sub / 8) + 16 * (sub % 2);
    int shift = 2 * (sub / 2 % 4);
    for (int j = 0; j < 16; ++j) {
      out[16 * sub + j] = dl * static_cast<float>(bytes[j] >> shift & 3) - ml;
    }
  }
}

void Q3_K(const uint8_t* in, float* out) {
  const uint8_t* high = in;
  const uint8_t* q = in + 32;
  const uint8_t* packed = in + 96;
  float d = ReadHalf(in + 108);
  for (int sub = 0; sub < 16; ++sub) {
    // Scale: 4 low bits from byte sub % 8, 2 high bits from byte 8 + sub % 4; biased by 32.
    int low = packed[sub % 8] >> (4 * (sub / 8)) & 15;
    int up = packed[8 + sub % 4] >> (2 * (sub / 4)) & 3;
    float dl = d * static_cast<float>((low | up << 4) - 32);
    const uint8_t* bytes = q + 32 * (sub / 8) + 16 * (sub % 2);
    const uint8_t* mask = high + 16 * (sub % 2);
    int shift = 2 * (sub / 2 % 4);
    for (int j = 0; j < 16; ++j) {
      int offset = (mask[j] >> (sub / 2) & 1) ? 0 : 4;
      out[16 * sub + j] = dl * static_cast<float>((bytes[j] >> shift & 3) - offset);
    }
  }
}

// Scale and minimum of sub-block i (0 to 7) out of the 12 bytes of Q4_K and Q5_K: 6 bits each.
void UnpackScale(const uint8_t* packed, int i, float* scale, float* minimum) {
  if (i < 4) {
    *scale = static_cast<float>(packed[i] & 63);
    *minimum = static_cast<float>(packed[i + 4] & 63);
  } else {
    *scale = static_cast<float>((packed[i + 4] & 15) | (packed[i - 4] >> 2 & 0x30));
    *minimum = static_cast<float>((packed[i + 4] >> 4) | (packed[i] >> 2 & 0x30));
  }
}

void Q4_K(const uint8_t* in, float* out) {
  float d = ReadHalf(in), dmin = ReadHalf(in + 2);
  for (int sub = 0; sub < 8; ++sub) {
    float scale, minimum;
    UnpackScale(in + 4, sub, &scale, &minimum);
    float dl = d * scale, ml = dmin * minimum;
    const uint8_t* q = in + 16 + 32 * (sub / 2);
    int shift = 4 * (sub % 2);
    for (int j = 0; j < 32; ++j) {
      out[32 * sub + j] = dl * static_cast<float>(q[j] >> shift & 15) - ml;
    }
  }
}

void Q5_K(const uint8_t* in, float* out) {
  float d = ReadHalf(in), dmin = ReadHalf(in + 2);
  const uint8_t* high = in + 16;
  for (int sub = 0; sub < 8; ++sub) {
    float scale, minimum;
    UnpackScale(in + 4, sub, &scale, &minimum);
    float dl = d * scale, ml = dmin * minimum;
    const uint8_t* q = in + 48 + 32 * (sub / 2);
    int shift = 4 * (sub % 2);
    for (int j = 0; j < 32; ++j) {
      int value = (q[j] >> shift & 15) | (high[j] >> sub & 1) << 4;
      out[32 * sub + j] = dl * static_cast<float>(value) - ml;
    }
  }
}

void Q6_K(const uint8_t* in, float* out) {
  const uint8_t* low = in;
  const uint8_t* high = in + 128;
  const uint8_t* scales = in + 192;
  float d = ReadHalf(in + 208);
  for (int sub = 0; sub < 8; ++sub) {
    int half = sub / 4, part = sub % 4;  // four sub-blocks of 32 share 64 low and 32 high bytes
    const uint8_t* l = low + 64 * half + 32 * (part % 2);
    const uint8_t* h = high + 32 * half;
    for (int group = 0; group < 2; ++group) {
      float dl = d * static_cast<float>(static_cast<int8_t>(scales[2 * sub + group]));
      for (int j = 16 * group; j < 16 * group + 16; ++j) {
        int value = (l[j] >> (4 * (part / 2)) & 15) | (h[j] >> (2 * part) & 3) << 4;
        out[32 * sub + j] = dl * static_cast<float>(value - 32);
      }
    }
  }
}

struct Decoder {
  std::string_view type;
  void (*decode)(const uint8_t* in, float* out);
};

constexpr Decoder kDecoders[] = {
    {"Q4_0", Q4_0}, {"Q4_1", Q4_1}, {"Q5_0", Q5_0}, {"Q5_1", Q5_1}, {"Q8_0", Q8_0},
    {"Q2_K", Q2_K}, {"Q3_K", Q3_K}, {"Q4_K", Q4_K}, {"Q5_K", Q5_K}, {"Q6_K", Q6_K},
};

}  // namespace

Status Dequantize(const gguf::ElementType& type, std::span<const std::byte> bytes,
                  std::span<float> out) {
  ATTUNE_CHECK(out.size() % type.block_elements == 0);
  ATTUNE_CHECK(bytes.size() == out.size() / type.block_elements * type.block_bytes);
  for (const Decoder& decoder : kDecoders) {
    if (decoder.type != type.name) continue;
    const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
    size_t blocks = out.size() / type.block_elements;
    for (size_t i = 0; i < blocks; ++i) {
      decoder.decode(in + i * type.block_bytes, out.data() + i * type.block_elements);
    }
    return Status();
  }
  if (type.weights) return ConvertToFloat(type.name, bytes, out);
  return InvalidArgument("type " + std::string(type.name) +
                         " cannot be read as weights; supported: " + gguf::WeightTypeNames());
}

}  // namespace attune::engine
