// Pooling of neighbours along a line by steps of two, with lines and neighbours combined in registers:
//   pairs    out[r][i] = finish(op over k of x[2i] op x[2i + 1]),              x = taps[k] + r * step
//   triples  out[r][i] = finish(op over k of x[2i - 1] op x[2i] op x[2i + 1])
// and dealing out a line to its even and odd elements. Knows no windows and no borders but an open left end.
#pragma once

#include "kernels/combine.h"

namespace convkern {
namespace CK_ISA {

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
  typename VectorOf<T>::index order{};
  CK_UNROLL
  for (int i = 0; i < w; ++i) order[i] = 2 * i + o;
  return __builtin_shuffle(a, b, order);
#endif
}

// K lines, or job.count where K is 0. Everything the loops read is copied first: a store could change the job, for all
// the compiler knows, and short rows have no time to read it again.
template <class T, Reduction Op, int K, bool Divide, bool Ahead>
CK_INLINE void pairs_of(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  const int64_t count = K ? K : job.count, width = job.width, rows = job.rows;
  const ptrdiff_t step = job.step, out_step = job.out_step, ahead = job.ahead;
  const T factor = job.factor;
  const T* x[K ? K : most_lines];
  for (int64_t k = 0; k < count; ++k) x[k] = job.taps[k];
  const auto finished = [=](auto value) {
    if constexpr (Op != Reduction::add) return value;
    return Divide ? value / factor : value * factor;
  };
  const auto block = [&](ptrdiff_t at, T* out) __attribute__((always_inline)) {
    Vector<T> a = load<T>(x[0] + at), b = load<T>(x[0] + at + w);
    for (int64_t k = 1; k < count; ++k) {
      a = combine<Op>(a, load<T>(x[k] + at));
      b = combine<Op>(b, load<T>(x[k] + at + w));
    }
    for (int64_t k = 0; Ahead && k < count; ++k) {
      __builtin_prefetch(x[k] + at + ahead);
      __builtin_prefetch(x[k] + at + ahead + w);
    }
    store<T>(out, finished(combine<Op>(every_second<T, false>(a, b), every_second<T, true>(a, b))));
  };
  const int64_t spilled = job.spill && rows * width > w ? (rows * width - w) / width : 0;  // rows that may spill
  T* out = job.out;
  ptrdiff_t at = 0;
  int64_t r = 0;
  if (width <= w)  // one block a row: the loop that has to keep up with memory
    for (; r < spilled; ++r, out += out_step, at += step) block(at, out);
  for (; r < rows; ++r, out += out_step, at += step) {
    int64_t i = 0;
    for (; i + w <= width; i += w) block(at + 2 * i, out + i);
    if (i == width) continue;
    if (r < spilled) {
      block(at + 2 * i, out + i);
    } else if (width >= w) {
      block(at + 2 * (width - w), out + width - w);
    } else {
      for (; i < width; ++i) {
        T u = x[0][at + 2 * i], v = x[0][at + 2 * i + 1];
        for (int64_t k = 1; k < count; ++k) {  // in the order of block: bits must not depend on the path
          u = combine<Op>(u, x[k][at + 2 * i]);
          v = combine<Op>(v, x[k][at + 2 * i + 1]);
        }
        out[i] = finished(combine<Op>(u, v));
      }
    }
  }
}

template <class T, Reduction Op>
void tap_pairs(const TapJob<T>& job) {
  constexpr bool sum = Op == Reduction::add;
  if (sum && job.finish == Finish::divide)
    pairs_of<T, Op, 0, sum, true>(job);
  else if (job.count == 2)
    job.ahead ? pairs_of<T, Op, 2, false, true>(job) : pairs_of<T, Op, 2, false, false>(job);
  else
    pairs_of<T, Op, 0, false, true>(job);
}

// The last lane of `before`, then all of v but its last.
template <class T>
CK_INLINE Vector<T> moved_up(Vector<T> before, Vector<T> v) {
  constexpr int w = lanes<T>;
#if defined(__clang__)
  if constexpr (w == 2) return __builtin_shufflevector(before, v, 1, 2);
  if constexpr (w == 4) return __builtin_shufflevector(before, v, 3, 4, 5, 6);
  if constexpr (w == 8) return __builtin_shufflevector(before, v, 7, 8, 9, 10, 11, 12, 13, 14);
  if constexpr (w == 16)
    return __builtin_shufflevector(before, v, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
#else
  typename VectorOf<T>::index order;
  CK_UNROLL
  for (int i = 0; i < w; ++i) order[i] = w - 1 + i;
  return __builtin_shuffle(before, v, order);
#endif
}

// As pairs_of, with the element before each pair in front of it.
template <class T, Reduction Op, int K>
CK_INLINE void triples_of(const TapJob<T>& job) {
  constexpr int w = lanes<T>;
  const int64_t count = K ? K : job.count, width = job.width, rows = job.rows;
  const ptrdiff_t step = job.step, out_step = job.out_step, ahead = job.ahead;
  const T factor = job.factor;
  const bool multiply = job.finish == Finish::multiply, open = job.open;
  const T* x[K ? K : most_lines];
  for (int64_t k = 0; k < count; ++k) x[k] = job.taps[k];
  const auto finished = [=](auto value) {
    if constexpr (Op != Reduction::add) return value;
    return multiply ? value * factor : value / factor;
  };
  const auto column = [&](ptrdiff_t at) __attribute__((always_inline)) {
    T value = x[0][at];
    for (int64_t k = 1; k < count; ++k) value = combine<Op>(value, x[k][at]);
    return value;
  };
  // `before` holds the odd elements up to here; returns those of this block.
  const auto block = [&](ptrdiff_t at, Vector<T> before, T* out) __attribute__((always_inline)) {
    Vector<T> a = load<T>(x[0] + at), b = load<T>(x[0] + at + w);
    for (int64_t k = 1; k < count; ++k) {
      a = combine<Op>(a, load<T>(x[k] + at));
      b = combine<Op>(b, load<T>(x[k] + at + w));
    }
    for (int64_t k = 0; k < count && ahead; ++k) {
      __builtin_prefetch(x[k] + at + ahead);
      __builtin_prefetch(x[k] + at + ahead + w);
    }
    const Vector<T> odd = every_second<T, true>(a, b);
    const Vector<T> sides = combine<Op>(moved_up<T>(before, odd), every_second<T, false>(a, b));
    store<T>(out, finished(combine<Op>(sides, odd)));
    return odd;
  };
  T* out = job.out;
  ptrdiff_t at = 0;
  for (int64_t r = 0; r < rows; ++r, out += out_step, at += step) {
    const T left = open ? identity<T, Op>() : column(at - 1);
    Vector<T> before = splat<T>(left);
    int64_t i = 0;
    for (; i + w <= width; i += w) before = block(at + 2 * i, before, out + i);
    if (i == width) continue;
    if (width >= w) {
      i = width - w;
      block(at + 2 * i, splat<T>(column(at + 2 * i - 1)), out + i);
    } else {
      T last = left;
      for (; i < width; ++i) {
        const T odd = column(at + 2 * i + 1);
        out[i] = finished(combine<Op>(combine<Op>(last, column(at + 2 * i)), odd));
        last = odd;
      }
    }
  }
}

template <class T, Reduction Op>
void tap_triples(const TapJob<T>& job) {
  if (job.count == 3)
    triples_of<T, Op, 3>(job);
  else
    triples_of<T, Op, 0>(job);
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

}  // namespace CK_ISA
}  // namespace convkern
