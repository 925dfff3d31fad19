// The depthwise kernel on an image whose channels lie side by side: a vector of channels walks along R lines of outputs
// at once.
//   out[r][q] = bias + sum_{k,l} row[r * S + l][q * S + k - lead] * weights[l][k]      columns outside the line are
//   zero
// Each pixel is loaded once and meets all the outputs in reach, of which A = ceil(KX / S) a line are under way. An
// output's sum runs over k, then l, whatever R. A line may be cut into stretches: sums under way wait in `carry`, so
// that the stretch of all lines and vectors stays in L1. Does not know padding above and below, nor channels beyond
// its vectors.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

// How a column meets its weights: all of these in registers; the column's pixels in registers; or, for one line of
// outputs and any number of lines of taps (KY is 0), both from memory.
enum class Held { weights, pixels, nothing };

template <class T, int R, int KY, int KX, int S, Held H>
CK_INLINE void sweep_column(const SweepJob<T>& job, int c, const T* const* row, ptrdiff_t at, const T* weights,
                            const Vector<T>* k, Vector<T> (*acc)[(KX + S - 1) / S]) {
  using V = Vector<T>;
  constexpr int w = lanes<T>, A = (KX + S - 1) / S, J = (R - 1) * S + KY;
  const auto tap = [=](int a) { return (A - 1 - a) * S + c; };  // that the output which ends after a more steps takes
  if constexpr (H == Held::weights) {
    CK_UNROLL
    for (int j = 0; j < J; ++j) {
      V pixel = load<T>(row[j] + (at & job.inside[j]));
      keep(pixel);
      CK_UNROLL
      for (int r = 0; r < R; ++r) {
        if (j < r * S || j - r * S >= KY) continue;
        CK_UNROLL
        for (int a = 0; a < A; ++a)
          if (tap(a) < KX) acc[r][a] += pixel * k[(j - r * S) * KX + tap(a)];
      }
    }
  } else if constexpr (H == Held::pixels) {
    V pixel[J];
    CK_UNROLL
    for (int j = 0; j < J; ++j) {
      pixel[j] = load<T>(row[j] + (at & job.inside[j]));
      keep(pixel[j]);
    }
    CK_UNROLL
    for (int l = 0; l < KY; ++l) {
      CK_UNROLL
      for (int a = 0; a < A; ++a) {
        if (tap(a) >= KX) continue;
        V weight = load<T>(weights + (l * KX + tap(a)) * w);
        keep(weight);
        CK_UNROLL
        for (int r = 0; r < R; ++r) acc[r][a] += pixel[r * S + l] * weight;
      }
    }
  } else {
    for (int64_t l = 0; l < job.lines; ++l) {
      V pixel = load<T>(job.rows[l] + at);
      keep(pixel);
      const T* weight = weights + job.weight[l];
      __asm__("" : "+r"(weight));  // one register, where the compiler would have one for each tap
      CK_UNROLL
      for (int a = 0; a < A; ++a)
        if (tap(a) < KX) acc[0][a] += pixel * load<T>(weight + tap(a) * w);
    }
  }
}

template <class T, int R, int KY, int KX, int S, Held H>
void sweep_run(const SweepJob<T>& job) {
  using V = Vector<T>;
  constexpr int w = lanes<T>, A = (KX + S - 1) / S, J = H == Held::nothing ? 1 : (R - 1) * S + KY;
  constexpr bool all = H == Held::weights;
  T* carry = job.carry;
  for (int64_t v = 0; v < job.vectors; ++v) {
    const T* weights = job.weights + v * job.weight_step;
    const V start = job.bias ? load<T>(job.bias + v * w) : V{};
    V acc[R][A], k[all ? KY * KX : 1];
    if constexpr (all) {
      CK_UNROLL
      for (int i = 0; i < KY * KX; ++i) k[i] = load<T>(weights + i * w);
    }
    CK_UNROLL
    for (int r = 0; r < R; ++r) {
      CK_UNROLL
      for (int a = 0; a < A; ++a)
        acc[r][a] = job.first > 0 && a + 1 < A ? load<T>(carry + (r * (A - 1) + a) * w) : start;
    }
    int64_t i = job.first * S - job.lead;
    const T* row[J];
    CK_UNROLL
    for (int j = 0; j < J; ++j) row[j] = job.rows[j];
    T* out[R];
    CK_UNROLL
    for (int r = 0; r < R; ++r) out[r] = job.out[r] + job.out_offset + v * w;
    ptrdiff_t at = job.row_offset + v * w + i * job.pixel, to = (job.first - (A - 1)) * job.out_step;
    for (int64_t t = job.first; t < job.last; ++t, to += job.out_step) {
      CK_UNROLL
      for (int c = 0; c < S; ++c, ++i, at += job.pixel)
        if (c < KX && static_cast<uint64_t>(i) < static_cast<uint64_t>(job.in))
          sweep_column<T, R, KY, KX, S, H>(job, c, row, at, weights, k, acc);
      if (t >= A - 1) {
        if (job.clamp) {
          const V lo = splat<T>(job.lo), hi = splat<T>(job.hi);
          CK_UNROLL
          for (int r = 0; r < R; ++r) acc[r][0] = clamp<T>(acc[r][0], lo, hi);
        }
        CK_UNROLL
        for (int r = 0; r < R; ++r) store<T>(out[r] + to, acc[r][0]);
      }
      CK_UNROLL
      for (int r = 0; r < R; ++r) {
        CK_UNROLL
        for (int a = 0; a + 1 < A; ++a) acc[r][a] = acc[r][a + 1];
        acc[r][A - 1] = start;
      }
    }
    if (job.last < job.steps) {
      CK_UNROLL
      for (int r = 0; r < R; ++r) {
        CK_UNROLL
        for (int a = 0; a + 1 < A; ++a) store<T>(carry + (r * (A - 1) + a) * w, acc[r][a]);
      }
    }
    carry += R * (A - 1) * w;
  }
}

// Square windows on more lines than one, where registers hold R * A sums and what else a column needs.
template <class T, int K, int S>
SweepFunction<T> sweep_square(int64_t outputs) {
  if constexpr (CK_REGISTERS >= 32) {
    constexpr int most = K == 3 ? (S == 1 ? 4 : 2) : K == 5 ? 4 : 3;
    constexpr Held held = K == 3 ? Held::weights : Held::pixels;
    if constexpr (most >= 4)
      if (outputs == 4) return sweep_run<T, 4, K, K, S, held>;
    if constexpr (most >= 3)
      if (outputs == 3) return sweep_run<T, 3, K, K, S, held>;
    if (outputs == 2) return sweep_run<T, 2, K, K, S, held>;
  }
  return nullptr;
}

template <class T, int S>
SweepFunction<T> sweep_any(int64_t taps) {
  constexpr SweepFunction<T> run[] = {
      sweep_run<T, 1, 0, 1, S, Held::nothing>, sweep_run<T, 1, 0, 2, S, Held::nothing>,
      sweep_run<T, 1, 0, 3, S, Held::nothing>, sweep_run<T, 1, 0, 4, S, Held::nothing>,
      sweep_run<T, 1, 0, 5, S, Held::nothing>, sweep_run<T, 1, 0, 6, S, Held::nothing>,
      sweep_run<T, 1, 0, 7, S, Held::nothing>,
  };
  return taps >= 1 && taps <= 7 ? run[taps - 1] : nullptr;
}

// The kernel for `outputs` lines of outputs; null where there is none.
template <class T>
SweepFunction<T> sweep(int64_t outputs, int64_t lines, int64_t taps, int64_t stride) {
  if (stride != 1 && stride != 2) return nullptr;
  const bool one = stride == 1, square = lines == taps;
  if (outputs == 1) {
    if (square && taps == 3)
      return one ? sweep_run<T, 1, 3, 3, 1, Held::weights> : sweep_run<T, 1, 3, 3, 2, Held::weights>;
    return one ? sweep_any<T, 1>(taps) : sweep_any<T, 2>(taps);
  }
  if (!square) return nullptr;
  switch (taps) {
    case 3:
      return one ? sweep_square<T, 3, 1>(outputs) : sweep_square<T, 3, 2>(outputs);
    case 5:
      return one ? sweep_square<T, 5, 1>(outputs) : sweep_square<T, 5, 2>(outputs);
    case 7:
      return one ? sweep_square<T, 7, 1>(outputs) : sweep_square<T, 7, 2>(outputs);
    default:
      return nullptr;
  }
}

}  // namespace CK_ISA
}  // namespace convkern
