// THE microkernel.  acc[m][v] += row[m](k) x panel[v](k):  a broadcast scalar times a vector, for every step k.
//   row[m](k) = *(T*)(rows[m] + tap(k).a)         panel[v](k) = vector v at panel + tap(k).b
// Taps in runs are added up, not looked up: two loads less a step, and loads are what a tile has the most of.
// Each output is one chain of multiply-adds in the order of k, so its bits do not depend on MR, NV or the lane it
// sits in. Does not know which operand is the image and which the weights, nor where rows and taps come from.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

// A pointer as a value of its own: each loop of a tile then has what it reads by in registers, where values that live
// through both loops are kept in memory or, worse, in vector registers.
template <class P>
inline __attribute__((always_inline)) P in_register(P pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

template <int MR>
struct Rows {
  const char* at[MR];
  __attribute__((always_inline)) explicit Rows(const char* const* rows) {
    CK_UNROLL
    for (int m = 0; m < MR; ++m) at[m] = in_register(rows[m]);
  }
};

template <class T, int MR, int NV>
void tile(const TileJob<T>& job, const char* const* rows, const char* panel, char* c, const T* bias) {
  using V = Vector<T>;
  constexpr int w = lanes<T>;
  V acc[MR][NV];
  const ptrdiff_t ldc = job.ldc;
  CK_UNROLL
  for (int m = 0; m < MR; ++m) CK_UNROLL
  for (int v = 0; v < NV; ++v) acc[m][v] = V{};
  if (job.start == Start::load) {
    CK_UNROLL
    for (int m = 0; m < MR; ++m) CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[m][v] = load<T>(c + m * ldc + v * sizeof(V));
  } else if (job.start == Start::lane_bias) {
    CK_UNROLL
    for (int m = 0; m < MR; ++m) CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[m][v] = load<T>(bias + v * w);
  } else if (job.start == Start::row_bias) {
    CK_UNROLL
    for (int m = 0; m < MR; ++m) CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[m][v] = splat<T>(bias[m]);
  }

  const auto step = [&](const Rows<MR>& row, ptrdiff_t a, const char* p) __attribute__((always_inline)) {
    V b[NV];
    CK_UNROLL
    for (int v = 0; v < NV; ++v) b[v] = load<T>(p + v * sizeof(V));
    CK_UNROLL
    for (int m = 0; m < MR; ++m) {
      const V x = splat<T>(*reinterpret_cast<const T*>(row.at[m] + a));
      CK_UNROLL
      for (int v = 0; v < NV; ++v) acc[m][v] += x * b[v];
    }
  };
  const Tap* tap = job.taps;
  const Tap* const end = tap + job.listed;
  if (job.run == 1) {
    const Rows<MR> row(rows);
    const char* const first = in_register(panel);
    CK_NO_UNROLL
    for (; tap != end; ++tap) step(row, tap->a, first + tap->b);
  } else {
    const Rows<MR> row(rows);
    const Tap along = job.along;
    CK_NO_UNROLL
    for (; tap != end; ++tap) {
      ptrdiff_t a = tap->a;
      const char* p = panel + tap->b;
      CK_NO_UNROLL
      for (int64_t left = job.run; left > 0; --left, a += along.a, p += along.b) step(row, a, p);
    }
  }

  if (job.clamp) {
    const V lo = splat<T>(job.lo), hi = splat<T>(job.hi);
    CK_UNROLL
    for (int m = 0; m < MR; ++m) CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[m][v] = clamp<T>(acc[m][v], lo, hi);
  }
  CK_UNROLL
  for (int m = 0; m < MR; ++m) CK_UNROLL
  for (int v = 0; v < NV; ++v) store<T>(c + m * ldc + v * sizeof(V), acc[m][v]);
}

// Fills run[1..MR] of a shape with the instances of every height.
template <class T, int MR, int NV>
struct Heights {
  static constexpr void fill(TileShape<T>& shape) {
    shape.run[MR] = tile<T, MR, NV>;
    if constexpr (MR > 1) Heights<T, MR - 1, NV>::fill(shape);
  }
};

template <class T, int MR, int NV>
constexpr TileShape<T> tile_shape() {
  static_assert(MR <= max_tile_rows);
  TileShape<T> shape{};
  shape.rows = MR;
  shape.vectors = NV;
  Heights<T, MR, NV>::fill(shape);
  return shape;
}

// Multiply-adds on registers alone: 24 independent chains keep two units of latency 4 or 5 busy. Fused, a sum takes in
// its own tiny multiple, so that it stays as it is, and where it is: AArch64 multiplies onto the addend only.
template <class T>
int64_t peak(int64_t iterations) {
  using V = Vector<T>;
  constexpr int chains = CK_REGISTERS >= 32 ? 24 : 12;
  V acc[chains];
  volatile T small = T(fused_multiply_add ? 1e-20 : 0.5);  // volatile: not for the compiler to see through
  const V x = splat<T>(small), y = x;
  CK_UNROLL
  for (int i = 0; i < chains; ++i) acc[i] = splat<T>(T(i + 1)) + x;
  for (int64_t n = 0; n < iterations; ++n) {
    CK_UNROLL
    for (int i = 0; i < chains; ++i) acc[i] = acc[i] * x + (fused_multiply_add ? acc[i] : y);
  }
  V sum = acc[0];
  CK_UNROLL
  for (int i = 1; i < chains; ++i) sum += acc[i];
  volatile T sink = sum[0];
  (void)sink;
  return iterations * chains * lanes<T> * 2;
}

}  // namespace CK_ISA
}  // namespace convkern
