// float32 products from bfloat16 ones. With x' = bf16(x) and x'' = bf16(x - x'), x = x' + x'' to 2^-18, and
//   sum_k a_k b_k  ~  sum_k a'_k b'_k + a'_k b''_k + a''_k b'_k          each sum in float32
// to about 3 * 2^-18 of sum |a b|: what is left out, a'' b'', is as small as what splitting loses.
// Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations",
// 2019. Here on plain vectors, which gains nothing: three multiply-adds for one. An ISA with a unit for products of
// bfloat16 tiles puts its own `multiply` in the table.
// A NaN or an infinity, or what overflows when it is rounded, gives sums that are not finite.
#pragma once

#include "kernels/bf16x3_table.h"
#include "kernels/simd.h"

namespace convkern {
namespace CK_ISA {
namespace bf16 {

CK_INLINE uint32_t bits(float x) {
  uint32_t u;
  __builtin_memcpy(&u, &x, sizeof u);
  return u;
}
CK_INLINE float number(uint32_t u) {
  float x;
  __builtin_memcpy(&x, &u, sizeof x);
  return x;
}
// The nearest bfloat16, ties to even, in the upper half. A NaN keeps a bit that makes it one.
CK_INLINE uint32_t round(float x) {
  const uint32_t u = bits(x), nearest = u + 0x7fff + (u >> 16 & 1);
  return (x == x ? nearest : u | 0x400000) & 0xffff0000;
}

inline void split(const float* x, int64_t count, uint16_t* high, uint16_t* low) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t u = round(x[i]);
    high[i] = static_cast<uint16_t>(u >> 16);
    low[i] = static_cast<uint16_t>(round(x[i] - number(u)) >> 16);
  }
}

inline void pack(const float* panel, int64_t rows, int64_t width, uint16_t* b) {
  const int64_t tiles = width / bf16_columns;
  uint16_t* const low = b + tiles * bf16_tile;
  for (int64_t pair = 0; pair < bf16_depth / 2; ++pair)
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t at = t * bf16_tile + pair * 2 * bf16_columns;
      const float* even = panel + 2 * pair * width + t * bf16_columns;
      const float* odd = even + width;
      const bool first = 2 * pair < rows, second = 2 * pair + 1 < rows;
      uint32_t high_pair[bf16_columns] = {}, low_pair[bf16_columns] = {};
      for (int j = 0; first && j < bf16_columns; ++j) {
        const float x = even[j], y = second ? odd[j] : 0.0f;
        const uint32_t u = round(x), v = round(y);
        high_pair[j] = u >> 16 | v;
        low_pair[j] = round(x - number(u)) >> 16 | round(y - number(v));
      }
      __builtin_memcpy(b + at, high_pair, sizeof high_pair);
      __builtin_memcpy(low + at, low_pair, sizeof low_pair);
    }
}

// acc[j] += a[k] b[k][j] for the terms of a step.
template <int Vectors>
CK_INLINE void add_products(const uint16_t* a, const uint16_t* b, Vector<float> (&acc)[Vectors]) {
  for (int pair = 0; pair < bf16_depth / 2; ++pair) {
    const float even = number(uint32_t{a[2 * pair]} << 16), odd = number(uint32_t{a[2 * pair + 1]} << 16);
    CK_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      typename VectorOf<float>::index u;
      __builtin_memcpy(&u, b + 2 * (pair * bf16_columns + v * lanes<float>), sizeof u);
      acc[v] += splat<float>(even) * reinterpret_cast<Vector<float>>(u << 16);
      acc[v] += splat<float>(odd) * reinterpret_cast<Vector<float>>(u & static_cast<int32_t>(0xffff0000));
    }
  }
}

// `Vectors` vectors of one row, from column j of the panel on.
template <int Vectors>
inline void multiply_row(const Bf16Job& job, const uint16_t* row, int j, float* c) {
  Vector<float> acc[Vectors];
  CK_UNROLL
  for (int v = 0; v < Vectors; ++v) acc[v] = job.bias ? load<float>(job.bias + j + v * lanes<float>) : Vector<float>{};
  const uint16_t* b = job.b + j / bf16_columns * bf16_tile + 2 * (j % bf16_columns);
  for (int64_t s = 0; s < job.steps; ++s, b += 2 * job.columns * bf16_tile) {
    const uint16_t* a = row + job.step[s];
    add_products<Vectors>(a, b + job.columns * bf16_tile, acc);
    add_products<Vectors>(a, b, acc);
    add_products<Vectors>(a + job.low, b, acc);
  }
  CK_UNROLL
  for (int v = 0; v < Vectors; ++v) store<float>(c + j + v * lanes<float>, acc[v]);
}

inline void multiply(const Bf16Job& job) {
  constexpr int whole = bf16_columns / lanes<float>;
  for (int half = 0; half < 2 && job.a[half]; ++half)
    for (int m = job.begin[half]; m < job.end[half]; ++m) {
      const uint16_t* row = job.a[half] + m * job.row;
      float* c = job.c + (half * bf16_rows + m) * job.ldc;
      int j = 0;
      for (; j + bf16_columns <= job.used; j += bf16_columns) multiply_row<whole>(job, row, j, c);
      for (; j < job.used; j += lanes<float>) multiply_row<1>(job, row, j, c);
    }
}

inline bool finite(const float* c, ptrdiff_t ldc, int64_t rows, int64_t columns) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const uint32_t u = bits(c[i * ldc + j]) & 0x7fffffff;
      largest = largest > u ? largest : u;
    }
  return largest < 0x7f800000;
}

inline void nothing() {}

}  // namespace bf16

constexpr Bf16Kernels make_bf16_kernels() {
  return {bf16::split, bf16::pack, bf16::nothing, bf16::nothing, bf16::multiply, bf16::finite};
}

}  // namespace CK_ISA
}  // namespace convkern
