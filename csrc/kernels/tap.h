// The elementwise tap kernel of pooling: rows of outputs, each the op over the same few taps.
//   out[r][i] = finish(op_k taps[k][r * step + i]),   op in {max, min, add}
// A row that is no whole number of vectors ends with one that overlaps the one before; rows narrower than a vector use
// narrower vectors. max and min let NaN through. Sums of many taps are summed in parts, so that rounding grows slowly.
// Does not know what a row is (a line of one plane, the channels of a pixel), nor windows and borders.
#pragma once

#include "kernels/combine.h"
#include "kernels/neighbours.h"

namespace convkern {
namespace CK_ISA {

inline constexpr int64_t taps_in_part = 32;

template <class T, Reduction Op, bool Ahead, int L, int NV>
CK_INLINE void tap_block(const TapJob<T>& job, ptrdiff_t at, int64_t i, T* out) {
  using V = typename Short<T, L>::type;
  const int64_t count = job.count;
  V acc[NV];
  const auto from = [&](int64_t k, int v) {
    const T* x = job.taps[k] + at + i + v * L;
    if (Ahead) __builtin_prefetch(x + job.ahead);
    return load_as<V>(x);
  };
  CK_UNROLL
  for (int v = 0; v < NV; ++v) acc[v] = from(0, v);
  const int64_t first = Op == Reduction::add && count > taps_in_part ? taps_in_part : count;
  for (int64_t k = 1; k < first; ++k) {
    CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[v] = combine<Op>(acc[v], from(k, v));
  }
  if constexpr (Op == Reduction::add) {
    for (int64_t k = first; k < count;) {
      const int64_t end = k + taps_in_part < count ? k + taps_in_part : count;
      V part[NV];
      CK_UNROLL
      for (int v = 0; v < NV; ++v) part[v] = from(k, v);
      while (++k < end) {
        CK_UNROLL
        for (int v = 0; v < NV; ++v) part[v] += from(k, v);
      }
      CK_UNROLL
      for (int v = 0; v < NV; ++v) acc[v] += part[v];
    }
    CK_UNROLL
    for (int v = 0; v < NV; ++v) {
      if (job.finish == Finish::multiply)
        acc[v] *= job.factor;
      else if (job.finish == Finish::divide)
        acc[v] /= job.factor;
      else
        acc[v] /= load_as<V>(job.divisors + i + v * L) * job.factor;
    }
  }
  CK_UNROLL
  for (int v = 0; v < NV; ++v) store_as<V>(out + i + v * L, acc[v]);
}

// Calls block(NV, i) over [0, width) with vectors of L lanes, the last one overlapping; width >= L.
template <int L, int NV, class F>
CK_INLINE void cover(int64_t width, F&& block) {
  int64_t i = 0;
  for (; i + NV * L <= width; i += NV * L) block.template operator()<L, NV>(i);
  for (; i + L <= width; i += L) block.template operator()<L, 1>(i);
  if (i < width) block.template operator()<L, 1>(width - L);
}

template <class T, Reduction Op, bool Ahead>
struct TapRow {
  const TapJob<T>& job;
  int64_t r;
  template <int L, int NV>
  CK_INLINE void operator()(int64_t i) const {
    tap_block<T, Op, Ahead, L, NV>(job, r * job.step, i, job.out + r * job.out_step);
  }
};

// Rows of at least a vector, K taps. As few instructions as can be, so that memory alone counts; without the locals the
// compiler computes all addresses first, for the prefetches, and moves them through vector registers.
template <class T, Reduction Op, int K>
CK_INLINE void few_taps(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  const int64_t width = job.width, rows = job.rows;
  const ptrdiff_t step = job.step, out_step = job.out_step, ahead = job.ahead;
  const T factor = job.factor;
  const T* x[K];
  CK_UNROLL
  for (int k = 0; k < K; ++k) x[k] = job.taps[k];
  T* out = job.out;
  for (int64_t r = 0; r < rows; ++r, out += out_step) {
    const auto block = [&](int64_t i) __attribute__((always_inline)) {
      Vector<T> acc = load<T>(x[0] + i);
      CK_UNROLL
      for (int k = 1; k < K; ++k) acc = combine<Op>(acc, load<T>(x[k] + i));
      CK_UNROLL
      for (int k = 0; k < K; ++k) __builtin_prefetch(x[k] + (i + ahead));
      store<T>(out + i, Op == Reduction::add ? acc * factor : acc);
    };
    // Loads that keep to cache lines, after a first vector that they overlap: NumPy's large arrays begin 16 bytes past
    // one.
    const auto past = reinterpret_cast<uintptr_t>(x[0]) % sizeof(Vector<T>);
    int64_t i = 0;
    if (past != 0 && width > w) {
      block(0);
      i = static_cast<int64_t>((sizeof(Vector<T>) - past) / sizeof(T));
    }
    for (; i + w <= width; i += w) block(i);
    if (i < width) block(width - w);
    CK_UNROLL
    for (int k = 0; k < K; ++k) x[k] += step;
  }
}

template <class T, Reduction Op>
void tap_run(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  if (job.ahead && job.width >= w && job.count == 4 && (Op != Reduction::add || job.finish == Finish::multiply))
    return few_taps<T, Op, 4>(job);
  for (int64_t r = 0; r < job.rows; ++r) {
    const TapRow<T, Op, false> row{job, r};
    if (job.spill && (r + 1) * job.width + w <= job.rows * job.width)
      for (int64_t i = 0; i < job.width; i += w) row.template operator()<w, 1>(i);
    else if (job.width >= w && job.ahead)
      cover<w, 4>(job.width, TapRow<T, Op, true>{job, r});
    else if (job.width >= w)
      cover<w, 4>(job.width, row);
    else if (w >= 16 && job.width >= 8)
      cover<w >= 16 ? 8 : 1, 1>(job.width, row);
    else if (w >= 8 && job.width >= 4)
      cover<w >= 8 ? 4 : 1, 1>(job.width, row);
    else
      cover<1, 1>(job.width, row);
  }
}

template <class T, Reduction Op, int L>
CK_INLINE void index_block(const IndexJob<T>& job, int64_t r, int64_t i) {
  using V = typename Short<T, L>::type;
  using P = typename IndexJob<T>::P;
  using I = typename Short<P, L>::type;
  const P row = static_cast<P>(r * job.row_position);
  const I lane = job.lane_position ? load_as<I>(job.lane_position + i) : I{};
  I where = (job.lane_start ? load_as<I>(job.lane_start + i) : I{}) + static_cast<P>(job.start + row);
  V best = V{} + (Op == Reduction::max ? -static_cast<T>(__builtin_inf()) : static_cast<T>(__builtin_inf()));
  for (int64_t k = 0; k < job.count; ++k) {
    const V v = load_as<V>(job.taps[k] + r * job.step + i);
    const auto take = beats<Op>(v, best);
    best = take ? v : best;
    where = take ? lane + static_cast<P>(job.position[k] + row) : where;
  }
  store_as<V>(job.out + r * job.out_step + i, best);
  P narrow[L];
  store_as<I>(narrow, where);
  int64_t* indices = job.indices + r * job.out_step + i;
  for (int l = 0; l < L; ++l) indices[l] = narrow[l];
}

template <class T, Reduction Op>
struct IndexRow {
  const IndexJob<T>& job;
  int64_t r;
  template <int L, int NV>
  CK_INLINE void operator()(int64_t i) const {
    index_block<T, Op, L>(job, r, i);
  }
};

// A row narrower than a vector of L lanes, the last of a run excepted: what is too much is read from the pixel behind
// and overwritten by the next row.
template <class T, Reduction Op, int L>
CK_INLINE int64_t index_spilling(const IndexJob<T>& job) {
  const bool fits = job.out_step == job.width && job.step + job.width >= L && 2 * job.width >= L;
  if (!fits || job.rows < 2 || job.lane_position || job.lane_start) return 0;
  for (int64_t r = 0; r + 1 < job.rows; ++r) index_block<T, Op, L>(job, r, 0);
  return job.rows - 1;
}

template <class T, Reduction Op>
void tap_index(const IndexJob<T>& job) {
  constexpr int w = lanes<T>, half = w >= 8 ? w / 2 : 1, quarter = w >= 16 ? w / 4 : 1;
  int64_t r = 0;
  if (job.width < w && job.width > half) r = index_spilling<T, Op, w>(job);
  if (job.width < half && job.width > quarter) r = index_spilling<T, Op, half>(job);
  if (job.width < quarter) r = index_spilling<T, Op, quarter>(job);
  for (; r < job.rows; ++r) {
    const IndexRow<T, Op> row{job, r};
    if (job.width >= w)
      cover<w, 1>(job.width, row);
    else if (job.width >= half)
      cover<half, 1>(job.width, row);
    else if (job.width >= quarter)
      cover<quarter, 1>(job.width, row);
    else
      cover<1, 1>(job.width, row);
  }
}

template <class T, Reduction Op>
T tap_reduce(const T* x, int64_t count) {
  constexpr int w = lanes<T>, n = 4;
  using V = Vector<T>;
  T result = x[0];
  int64_t i = 1;
  if (count >= w) {
    V total = load<T>(x);
    i = w;
    for (; i + n * w <= count;) {  // parts of a few vectors, then their sums
      V acc[n];
      CK_UNROLL
      for (int v = 0; v < n; ++v) acc[v] = load<T>(x + i + v * w);
      i += n * w;
      for (int part = 1; part < taps_in_part && i + n * w <= count; ++part, i += n * w) {
        CK_UNROLL
        for (int v = 0; v < n; ++v) acc[v] = combine<Op>(acc[v], load<T>(x + i + v * w));
      }
      CK_UNROLL
      for (int v = 0; v < n; ++v) total = combine<Op>(total, acc[v]);
    }
    for (; i + w <= count; i += w) total = combine<Op>(total, load<T>(x + i));
    result = total[0];
    for (int l = 1; l < w; ++l) result = combine<Op>(result, static_cast<T>(total[l]));
  }
  for (; i < count; ++i) result = combine<Op>(result, x[i]);
  return result;
}

template <class T>
constexpr TapKernels<T> make_tap_kernels() {
  return {{tap_run<T, Reduction::max>, tap_run<T, Reduction::min>, tap_run<T, Reduction::add>},
          {tap_index<T, Reduction::max>, tap_index<T, Reduction::min>},
          {tap_reduce<T, Reduction::max>, tap_reduce<T, Reduction::min>, tap_reduce<T, Reduction::add>},
          {tap_pairs<T, Reduction::max>, tap_pairs<T, Reduction::min>, tap_pairs<T, Reduction::add>},
          {tap_triples<T, Reduction::max>, tap_triples<T, Reduction::min>, tap_triples<T, Reduction::add>},
          halve<T>};
}

}  // namespace CK_ISA
}  // namespace convkern
