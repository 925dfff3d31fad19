// The tap kernel: no channel sum, vectors along channels, one weight vector a tap.
//   out[i] = bias + sum_{r,k} line[r][i * step + k * tap_step] * weights[r][k]      i along an x line
// Where outputs step over whole taps (step = S * tap_step) a pixel is loaded once for all the outputs that read it.
// Does not know channels beyond its one vector, nor borders.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

// MR outputs; KW taps a line, or job.taps where KW is 0; S: outputs step over S taps, 0: over anything.
template <class T, int MR, int KW, int S>
CK_INLINE void depthwise_run(const DepthwiseJob<T>& job, const T* x, T* out) {
  using V = Vector<T>;
  constexpr int w = lanes<T>;
  V acc[MR];
  const V start = job.bias ? load<T>(job.bias) : V{};
  CK_UNROLL
  for (int m = 0; m < MR; ++m) acc[m] = start;
  for (int64_t r = 0; r < job.lines; ++r) {
    const T* line = x + job.line[r];
    const T* weight = job.weights + job.weight[r];
    if constexpr (KW > 0 && S > 0) {
      V k[KW];
      CK_UNROLL
      for (int i = 0; i < KW; ++i) k[i] = load<T>(weight + i * w);
      CK_UNROLL
      for (int i = 0; i < (MR - 1) * S + KW; ++i) {
        V pixel = load<T>(line + i * job.tap_step);
        keep(pixel);
        CK_UNROLL
        for (int m = 0; m < MR; ++m)
          if (i - m * S >= 0 && i - m * S < KW) acc[m] += pixel * k[i - m * S];
      }
    } else {
      for (int64_t i = 0; i < job.taps; ++i, line += job.tap_step, weight += w) {
        const V k = load<T>(weight);
        CK_UNROLL
        for (int m = 0; m < MR; ++m) acc[m] += load<T>(line + m * job.step) * k;
      }
    }
  }
  if (job.clamp) {
    const V lo = splat<T>(job.lo), hi = splat<T>(job.hi);
    CK_UNROLL
    for (int m = 0; m < MR; ++m) acc[m] = clamp<T>(acc[m], lo, hi);
  }
  CK_UNROLL
  for (int m = 0; m < MR; ++m) store<T>(out + m * job.out_step, acc[m]);
}

// Outputs of a line in runs of MR. What is left over at the end is done once more with some of the outputs before it.
template <class T, int MR, int KW, int S>
void depthwise_runs(const DepthwiseJob<T>& job, const T* x, T* out, int64_t count) {
  for (int64_t i = 0;; i += MR) {
    if (i + MR > count) i = count - MR;
    depthwise_run<T, MR, KW, S>(job, x + i * job.step, out + i * job.out_step);
    if (i + MR == count) return;
  }
}

template <class T, int KW, int S>
void depthwise_line(const DepthwiseJob<T>& job, const T* x, T* out, int64_t count) {
  // The length of a run that gives the least work, counting two outputs' time to begin one.
  constexpr int heights[] = {CK_REGISTERS >= 32 ? 14 : 6, 8, 4, 2, 1};
  int64_t best = 0, least = INT64_MAX;
  for (const int h : heights) {
    const int64_t work = (count + h - 1) / h * (h + 2);
    if (h <= count && work < least) best = h, least = work;
  }
  if (best == heights[0]) return depthwise_runs<T, heights[0], KW, S>(job, x, out, count);
  if (best == 8) return depthwise_runs<T, 8, KW, S>(job, x, out, count);
  if (best == 4) return depthwise_runs<T, 4, KW, S>(job, x, out, count);
  if (best == 2) return depthwise_runs<T, 2, KW, S>(job, x, out, count);
  if (best == 1) return depthwise_runs<T, 1, KW, S>(job, x, out, count);
}

template <class T>
void depthwise(const DepthwiseJob<T>& job, const T* x, T* out, int64_t count) {
  const bool one = job.step == job.tap_step, two = job.step == 2 * job.tap_step;
  const int64_t k = job.taps;
  const auto run = one && k == 3   ? depthwise_line<T, 3, 1>
                   : one && k == 5 ? depthwise_line<T, 5, 1>
                   : one && k == 7 ? depthwise_line<T, 7, 1>
                   : two && k == 3 ? depthwise_line<T, 3, 2>
                   : two && k == 5 ? depthwise_line<T, 5, 2>
                   : two && k == 7 ? depthwise_line<T, 7, 2>
                                   : depthwise_line<T, 0, 0>;
  run(job, x, out, count);
}

// sums[k] += sum_i grad[i * grad_step] * x[i * step + k * tap_step] for KW taps; even and odd pixels in chains of their
// own.
template <class T, int KW>
CK_INLINE void depthwise_weight_run(const T* grad, ptrdiff_t grad_step, int64_t count, const T* x, ptrdiff_t step,
                                    ptrdiff_t tap_step, T* sums) {
  using V = Vector<T>;
  constexpr int w = lanes<T>;
  V even[KW], odd[KW];
  CK_UNROLL
  for (int k = 0; k < KW; ++k) even[k] = odd[k] = V{};
  int64_t i = 0;
  for (; i + 2 <= count; i += 2, x += 2 * step) {
    const V first = load<T>(grad + i * grad_step), second = load<T>(grad + (i + 1) * grad_step);
    CK_UNROLL
    for (int k = 0; k < KW; ++k) even[k] += first * load<T>(x + k * tap_step);
    CK_UNROLL
    for (int k = 0; k < KW; ++k) odd[k] += second * load<T>(x + step + k * tap_step);
  }
  if (i < count) {
    const V last = load<T>(grad + i * grad_step);
    CK_UNROLL
    for (int k = 0; k < KW; ++k) even[k] += last * load<T>(x + k * tap_step);
  }
  CK_UNROLL
  for (int k = 0; k < KW; ++k) store<T>(sums + k * w, load<T>(sums + k * w) + (even[k] + odd[k]));
}

template <class T>
void depthwise_weight(const T* grad, ptrdiff_t grad_step, int64_t count, const T* x, ptrdiff_t step, ptrdiff_t tap_step,
                      int64_t taps, T* sums) {
  constexpr int w = lanes<T>;
  while (taps > 0) {
    const int64_t n = taps > 7 ? 5 : taps;  // 8 and more: fives, and what is left
    switch (n) {
      case 1:
        depthwise_weight_run<T, 1>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      case 2:
        depthwise_weight_run<T, 2>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      case 3:
        depthwise_weight_run<T, 3>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      case 4:
        depthwise_weight_run<T, 4>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      case 5:
        depthwise_weight_run<T, 5>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      case 6:
        depthwise_weight_run<T, 6>(grad, grad_step, count, x, step, tap_step, sums);
        break;
      default:
        depthwise_weight_run<T, 7>(grad, grad_step, count, x, step, tap_step, sums);
    }
    taps -= n, x += n * tap_step, sums += n * w;
  }
}

// The same to the last bit for three by three taps whose windows are neighbouring pixels of three lines, sums [r][k]:
// each vector of the image is loaded once and stays for the three windows that hold it.
template <class T>
void depthwise_weight_3x3(const T* grad, ptrdiff_t grad_step, int64_t count, const T* const* x, ptrdiff_t step,
                          T* sums) {
  using V = Vector<T>;
  constexpr int w = lanes<T>;
  V sum[2][3][3], window[3][3];  // of even and odd pixels; of each line three columns, in turn
  CK_UNROLL
  for (int r = 0; r < 3; ++r) {
    CK_UNROLL
    for (int k = 0; k < 3; ++k) sum[0][r][k] = sum[1][r][k] = V{};
    window[r][0] = load<T>(x[r]);
    window[r][1] = load<T>(x[r] + step);
    window[r][2] = V{};
  }
  const auto pixel = [&](int64_t i, int turn) __attribute__((always_inline)) {
    const V g = load<T>(grad + i * grad_step);
    CK_UNROLL
    for (int r = 0; r < 3; ++r) {
      window[r][(turn + 2) % 3] = load<T>(x[r] + (i + 2) * step);
      CK_UNROLL
      for (int k = 0; k < 3; ++k) sum[turn % 2][r][k] += g * window[r][(turn + k) % 3];
    }
  };
  int64_t i = 0;
  for (; i + 6 <= count; i += 6) {
    CK_UNROLL
    for (int turn = 0; turn < 6; ++turn) pixel(i + turn, turn);
  }
  CK_UNROLL
  for (int turn = 0; turn < 5; ++turn)
    if (i + turn < count) pixel(i + turn, turn);
  CK_UNROLL
  for (int r = 0; r < 3; ++r) CK_UNROLL
  for (int k = 0; k < 3; ++k) {
    T* const to = sums + (3 * r + k) * w;
    store<T>(to, load<T>(to) + (sum[0][r][k] + sum[1][r][k]));
  }
}

}  // namespace CK_ISA
}  // namespace convkern
