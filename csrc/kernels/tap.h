// The elementwise tap kernel of pooling: rows of outputs, each the op over the same few taps.
//   out[r][i] = finish(op_k taps[k][r * step + i]),   op in {max, min, add}
// A row that is no whole number of vectors ends with one that overlaps the one before; rows narrower than a vector use
// narrower vectors. max and min let NaN through. Sums of many taps are summed in parts, so that rounding grows slowly.
// Does not know what a row is (a line of one plane, the channels of a pixel), nor windows and borders.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <class T, int L>
struct Short {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
};

template <class V>
CK_INLINE V load_as(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class V>
CK_INLINE void store_as(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// Whether v replaces acc, as lanes of all ones.
template <Reduction Op, class V>
CK_INLINE auto beats(V v, V acc) {
  if constexpr (Op == Reduction::max)
    return (v > acc) | (v != v);
  else
    return (v < acc) | (v != v);
}

template <Reduction Op, class V>
CK_INLINE V combine(V acc, V v) {
  if constexpr (Op == Reduction::add) {
    return acc + v;
  } else {
    acc = (Op == Reduction::max ? v > acc : v < acc) ? v : acc;  // one instruction; keeps acc where either is NaN
    return v != v ? v : acc;
  }
}

inline constexpr int64_t taps_in_part = 32;

template <class T, Reduction Op, int L, int NV>
CK_INLINE void tap_block(const TapJob<T>& job, ptrdiff_t at, int64_t i, T* out) {
  using V = typename Short<T, L>::type;
  V acc[NV];
  const auto from = [&](int64_t k, int v) { return load_as<V>(job.taps[k] + at + i + v * L); };
  CK_UNROLL
  for (int v = 0; v < NV; ++v) acc[v] = from(0, v);
  const int64_t first = Op == Reduction::add && job.count > taps_in_part ? taps_in_part : job.count;
  for (int64_t k = 1; k < first; ++k) {
    CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[v] = combine<Op>(acc[v], from(k, v));
  }
  if constexpr (Op == Reduction::add) {
    for (int64_t k = first; k < job.count;) {
      const int64_t end = k + taps_in_part < job.count ? k + taps_in_part : job.count;
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

template <class T, Reduction Op>
struct TapRow {
  const TapJob<T>& job;
  int64_t r;
  template <int L, int NV>
  CK_INLINE void operator()(int64_t i) const {
    tap_block<T, Op, L, NV>(job, r * job.step, i, job.out + r * job.out_step);
  }
};

template <class T, Reduction Op>
void tap_run(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  for (int64_t r = 0; r < job.rows; ++r) {
    const TapRow<T, Op> row{job, r};
    if (job.spill && (r + 1) * job.width + w <= job.rows * job.width)
      for (int64_t i = 0; i < job.width; i += w) row.template operator()<w, 1>(i);
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

// The even (Odd false) or odd elements of two vectors side by side.
template <class T, bool Odd>
CK_INLINE Vector<T> every_second(Vector<T> a, Vector<T> b) {
  constexpr int w = lanes<T>, o = Odd;
#if defined(__clang__)
  if constexpr (w == 2) return __builtin_shufflevector(a, b, o, o + 2);
  if constexpr (w == 4) return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6);
  if constexpr (w == 8) return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6, o + 8, o + 10, o + 12, o + 14);
  if constexpr (w == 16)
    return __builtin_shufflevector(a, b, o, o + 2, o + 4, o + 6, o + 8, o + 10, o + 12, o + 14, o + 16, o + 18, o + 20,
                                   o + 22, o + 24, o + 26, o + 28, o + 30);
#else
  typename VectorOf<T>::index order;
  CK_UNROLL
  for (int i = 0; i < w; ++i) order[i] = 2 * i + o;
  return __builtin_shuffle(a, b, order);
#endif
}

// K lines, or job.count where K is 0. Everything the loops read is copied first: a store could change the job, for all
// the compiler knows, and short rows have no time to read it again.
template <class T, Reduction Op, int K>
CK_INLINE void pairs_of(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  const int64_t count = K ? K : job.count, width = job.width, rows = job.rows, out_step = job.out_step;
  const ptrdiff_t step = job.step;
  const T factor = job.factor;
  const bool multiply = job.finish == Finish::multiply;
  const T* fixed[K ? K : 1];
  for (int k = 0; k < K; ++k) fixed[k] = job.taps[k];
  const T* const* taps = K ? fixed : job.taps;
  const auto finished = [=](auto sum) {
    if constexpr (Op != Reduction::add) return sum;
    return multiply ? sum * factor : sum / factor;
  };
  const auto block = [&](ptrdiff_t at, T* out) __attribute__((always_inline)) {
    const T* x = taps[0] + at;
    Vector<T> a = load<T>(x), b = load<T>(x + w);
    for (int64_t k = 1; k < count; ++k) {
      x = taps[k] + at;
      a = combine<Op>(a, load<T>(x));
      b = combine<Op>(b, load<T>(x + w));
    }
    store<T>(out, finished(combine<Op>(every_second<T, false>(a, b), every_second<T, true>(a, b))));
  };
  const int64_t spilled = job.spill && rows * width > w ? (rows * width - w) / width : 0;  // rows that may spill
  T* out = job.out;
  ptrdiff_t at = 0;
  for (int64_t r = 0; r < rows; ++r, out += out_step, at += step) {
    int64_t i = 0;
    for (; i + w <= width; i += w) block(at + 2 * i, out + i);
    if (i == width) continue;
    if (r < spilled) {
      block(at + 2 * i, out + i);
    } else if (width >= w) {
      block(at + 2 * (width - w), out + width - w);
    } else {
      for (; i < width; ++i) {
        const T* x = taps[0] + at + 2 * i;
        T u = x[0], v = x[1];
        for (int64_t k = 1; k < count; ++k) {  // in the order of block: bits must not depend on the path
          x = taps[k] + at + 2 * i;
          u = combine<Op>(u, x[0]);
          v = combine<Op>(v, x[1]);
        }
        out[i] = finished(combine<Op>(u, v));
      }
    }
  }
}

template <class T, Reduction Op>
void tap_pairs(const TapJob<T>& job) {
  if (job.count == 2)
    pairs_of<T, Op, 2>(job);
  else
    pairs_of<T, Op, 0>(job);
}

template <class T>
void halve(const T* x, int64_t evens, int64_t odds, T* even, T* odd) {
  constexpr int w = lanes<T>;
  int64_t i = 0;
  for (; i + w <= odds; i += w) {
    const Vector<T> a = load<T>(x + 2 * i), b = load<T>(x + 2 * i + w);
    store<T>(even + i, every_second<T, false>(a, b));
    store<T>(odd + i, every_second<T, true>(a, b));
  }
  if (i < odds && i > 0) {  // once more with some of those before
    i = odds - w;
    const Vector<T> a = load<T>(x + 2 * i), b = load<T>(x + 2 * i + w);
    store<T>(even + i, every_second<T, false>(a, b));
    store<T>(odd + i, every_second<T, true>(a, b));
    i = odds;
  }
  for (; i < odds; ++i) {
    even[i] = x[2 * i];
    odd[i] = x[2 * i + 1];
  }
  if (odds < evens) even[odds] = x[2 * odds];
}

template <class T>
constexpr TapKernels<T> make_tap_kernels() {
  return {{tap_run<T, Reduction::max>, tap_run<T, Reduction::min>, tap_run<T, Reduction::add>},
          {tap_index<T, Reduction::max>, tap_index<T, Reduction::min>},
          {tap_reduce<T, Reduction::max>, tap_reduce<T, Reduction::min>, tap_reduce<T, Reduction::add>},
          {tap_pairs<T, Reduction::max>, tap_pairs<T, Reduction::min>, tap_pairs<T, Reduction::add>},
          halve<T>};
}

}  // namespace CK_ISA
}  // namespace convkern
