// The depthwise kernel on planes: neighbouring pixels on the lanes, taps broadcast.
//   out[q][i] = bias + sum_{k,l} rows[q * S + l][offset[k] + i] * weights[l][k]      columns outside the image are zero
// A tile is R lines of outputs by NV vectors; where KY taps lie below each other, a vector is loaded once for all the
// lines that read it. An output's sum runs over k, then l, whatever the tile. Reads whole tiles, so there are lines
// below those wanted, and something to read left and right of a line; writes them, too, where the next line of outputs
// is written later, and no more than the width elsewhere. Does not know where lines lie, nor borders above and below.
#pragma once

#include <type_traits>

#include "kernels/simd.h"
#include "kernels/table.h"
#include "kernels/tap.h"

namespace convkern {
namespace CK_ISA {

template <class T, int N>
CK_INLINE void copy_ends(const T* x, T* to, int64_t n) {
  struct Run {
    T x[N];
  } first, last;
  __builtin_memcpy(&first, x, sizeof first);
  __builtin_memcpy(&last, x + n - N, sizeof last);
  __builtin_memcpy(to, &first, sizeof first);
  __builtin_memcpy(to + n - N, &last, sizeof last);
}

// to[i] = x[i] for i < n, n > 0, by blocks that overlap at the end.
template <class T>
CK_INLINE void copy_run(const T* x, T* to, int64_t n) {
  constexpr int w = lanes<T>;
  if (n >= w) {
    for (int64_t i = 0; i + w <= n; i += w) store<T>(to + i, load<T>(x + i));
    if (n % w) store<T>(to + n - w, load<T>(x + n - w));
  } else if (w > 8 && n >= 8) {
    copy_ends<T, 8>(x, to, n);
  } else if (w > 4 && n >= 4) {
    copy_ends<T, 4>(x, to, n);
  } else if (n >= 2) {
    copy_ends<T, 2>(x, to, n);
  } else {
    *to = *x;
  }
}

template <class T>
using Element = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

// first, first + 1, ... in the lanes.
template <class T>
CK_INLINE typename VectorOf<T>::index columns_from(int64_t first) {
  typename VectorOf<T>::index column;
  CK_UNROLL
  for (int i = 0; i < lanes<T>; ++i) column[i] = i;
  return column + static_cast<Element<T>>(first);
}

// KY and S are 0 where the taps of a column have to be read one by one; Edge where columns may lie outside the image.
template <class T, int R, int NV, int KY, int S, bool Edge>
void plane_tile(const DepthwisePlane<T>& job, int64_t q, int64_t i) {
  using V = Vector<T>;
  using I = typename VectorOf<T>::index;
  constexpr int w = lanes<T>;
  V acc[R][NV];
  CK_UNROLL
  for (int r = 0; r < R; ++r) {
    CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = splat<T>(job.bias);
  }
  const T* const* rows = job.rows + q * job.stride;
  I column = columns_from<T>(Edge ? i + job.offset[0] : 0);  // that the first vector reads
  Element<T> end[NV];                                        // of the columns, counted from each vector's
  CK_UNROLL
  for (int v = 0; v < NV; ++v) end[v] = static_cast<Element<T>>(job.columns - v * w);
  const auto step = static_cast<Element<T>>(Edge && job.taps > 1 ? job.offset[1] - job.offset[0] : 0);
  CK_NO_UNROLL
  for (int64_t k = 0; k < job.taps; ++k) {
    const ptrdiff_t at = job.offset[k] + i;
    const T* weight = job.weights + k * job.weight_step;
    const ptrdiff_t next = job.taps * job.weight_step;
    I inside[NV];
    if constexpr (Edge) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) inside[v] = column < end[v];
      inside[0] &= column >= 0;
      column += step;
    }
    const auto pixels_at = [&](const T* line, int v) __attribute__((always_inline)) {
      const V pixels = load<T>(line + at + v * w);
      if constexpr (Edge) return inside[v] ? pixels : V{};
      return pixels;
    };
    if constexpr (KY > 0) {
      V tap[KY];
      CK_UNROLL
      for (int l = 0; l < KY; ++l) {
        tap[l] = splat<T>(weight[l * next]);
        keep(tap[l]);
      }
      CK_UNROLL
      for (int j = 0; j < (R - 1) * S + KY; ++j) {
        const T* line = rows[j];
        __asm__ volatile("" : "+r"(line));
        CK_UNROLL
        for (int v = 0; v < NV; ++v) {
          V pixels = pixels_at(line, v);
          keep(pixels);
          CK_UNROLL
          for (int r = 0; r < R; ++r)
            if (j >= r * S && j - r * S < KY) acc[r][v] += pixels * tap[j - r * S];
        }
      }
    } else {
      CK_NO_UNROLL
      for (int64_t l = 0; l < job.lines; ++l, weight += next) {
        const V tap = splat<T>(*weight);
        const T* const* line = rows + l * job.dilation;
        CK_UNROLL
        for (int r = 0; r < R; ++r, line += job.stride) {
          CK_UNROLL
          for (int v = 0; v < NV; ++v) acc[r][v] += pixels_at(*line, v) * tap;
        }
      }
    }
  }
  if (job.clamp) {
    const V lo = splat<T>(job.lo), hi = splat<T>(job.hi);
    CK_UNROLL
    for (int r = 0; r < R; ++r) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = clamp<T>(acc[r][v], lo, hi);
    }
  }
  // What a tile writes past its outputs is written later: by tiles on its left, by lines below, or behind the plane.
  T* out = job.out + q * job.out_row + i;
  const int64_t used = job.width - i < NV * w ? job.width - i : NV * w;
  const bool dense = job.out_row == job.width;
  const int64_t room = (job.count - q) * job.width - i + job.behind;
  if (dense ? room >= (R - 1) * job.width + NV * w : used == NV * w && job.count - q >= R) {
    CK_UNROLL
    for (int r = 0; r < R; ++r, out += job.out_row) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) store<T>(out + v * w, acc[r][v]);
    }
  } else {
    T lines[R][NV * w];
    CK_UNROLL
    for (int r = 0; r < R; ++r) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) store<T>(lines[r] + v * w, acc[r][v]);
    }
    const int64_t count = job.count - q < R ? job.count - q : R;
    CK_NO_UNROLL
    for (int64_t r = 0; r < count; ++r, out += job.out_row) copy_run<T>(lines[r], out, used);
  }
}

// A tile of NV vectors from column i on, where one of them has a tap outside the image by the slower way.
template <class T, int R, int NV, int KY, int S>
CK_INLINE void plane_tile_at(const DepthwisePlane<T>& job, int64_t q, int64_t i) {
  const bool inside = i + job.offset[0] >= 0 && i + NV * lanes<T> + job.offset[job.taps - 1] <= job.columns;
  if (job.columns < 0 || inside)
    plane_tile<T, R, NV, KY, S, false>(job, q, i);
  else
    plane_tile<T, R, NV, KY, S, true>(job, q, i);
}

// R lines of outputs, `vectors` wide, by tiles of at most Most vectors and no fewer than Least. From the right end
// leftwards: what a tile writes past a line's end, those of the next line overwrite.
template <class T, int R, int Least, int Most, int KY, int S>
CK_INLINE void plane_lines(const DepthwisePlane<T>& job, int64_t q, int64_t vectors) {
  constexpr int w = lanes<T>;
  const int64_t tiles = (vectors + Most - 1) / Most;
  for (int64_t t = tiles - 1; t >= 0; --t) {
    const int64_t first = t * vectors / tiles, n = (t + 1) * vectors / tiles - first;
    if constexpr (Most >= 4)
      if (n == 4) plane_tile_at<T, R, 4, KY, S>(job, q, first * w);
    if constexpr (Most >= 3)
      if (n == 3) plane_tile_at<T, R, 3, KY, S>(job, q, first * w);
    if constexpr (Most >= 2 && Least <= 2)
      if (n == 2) plane_tile_at<T, R, 2, KY, S>(job, q, first * w);
    if constexpr (Least <= 1)
      if (n == 1) plane_tile_at<T, R, 1, KY, S>(job, q, first * w);
  }
}

// Tall tiles load fewer lines for an output. Their sums, the taps of a column and some pixels stay in registers.
template <class T, int KY, int S>
void plane_tiles(const DepthwisePlane<T>& job) {
  constexpr bool many = CK_REGISTERS >= 32;
  constexpr int low = 4, most = many ? 4 : KY == 7 ? 1 : 2;
  const int64_t vectors = (job.width + lanes<T> - 1) / lanes<T>;
  for (int64_t q = 0; q < job.count;) {
    if constexpr (many && KY > 0) {
      constexpr int narrow = 7, wide = KY == 7 ? low : 6;
      const int64_t left = job.count - q;
      if (left > low && left != 2 * low) {
        if (vectors < most)
          plane_lines<T, narrow, 1, most - 1, KY, S>(job, q, vectors);
        else
          plane_lines<T, wide, 2, most, KY, S>(job, q, vectors);
        q += vectors < most ? narrow : wide;
        continue;
      }
    }
    plane_lines<T, low, 1, most, KY, S>(job, q, vectors);
    q += low;
  }
}

template <class T>
void depthwise_plane(const DepthwisePlane<T>& job) {
  const bool one = job.stride == 1 && job.dilation == 1, two = job.stride == 2 && job.dilation == 1;
  const int64_t k = job.lines;
  const auto run = one && k == 1   ? plane_tiles<T, 1, 1>
                   : one && k == 3 ? plane_tiles<T, 3, 1>
                   : one && k == 5 ? plane_tiles<T, 5, 1>
                   : one && k == 7 ? plane_tiles<T, 7, 1>
                   : two && k == 3 ? plane_tiles<T, 3, 2>
                   : two && k == 5 ? plane_tiles<T, 5, 2>
                                   : plane_tiles<T, 0, 0>;
  run(job);
}

// to[r][i] = x[r][i * step] for i < n: lines of a plane, rows apart by `from_row` and `to_row`.
template <class T>
void every_nth(const T* x, ptrdiff_t from_row, ptrdiff_t step, int64_t n, T* to, ptrdiff_t to_row, int64_t rows) {
  constexpr int w = lanes<T>;
  if (step == 1 && n > 0) {
    for (; rows > 0; --rows, x += from_row, to += to_row) copy_run<T>(x, to, n);
  } else if (step == 2 && n > w) {  // the last element has no neighbour on its right, perhaps
    for (; rows > 0; --rows, x += from_row, to += to_row) {
      for (int64_t i = 0; i + w < n; i += w)
        store<T>(to + i, every_second<T, false>(load<T>(x + 2 * i), load<T>(x + 2 * i + w)));
      const T* last = x + 2 * (n - w) - 1;
      store<T>(to + n - w, every_second<T, true>(load<T>(last), load<T>(last + w)));
    }
  } else {
    for (; rows > 0; --rows, x += from_row, to += to_row)
      for (int64_t i = 0; i < n; ++i) to[i] = x[i * step];
  }
}

// to[r][i * step] = x[r][i] for i < n. What lies between may be read and written again with the values it has, where
// `between` says so: nobody else writes there meanwhile.
template <class T>
void to_every_nth(const T* x, ptrdiff_t from_row, int64_t n, T* to, ptrdiff_t to_row, ptrdiff_t step, int64_t rows,
                  bool between) {
  constexpr int w = lanes<T>;
  const auto weave = [](T* at, auto even, auto odd) __attribute__((always_inline)) {
    const Vector<T> low = shuffle<T, Perfect<T, false>>(even, odd), high = shuffle<T, Perfect<T, true>>(even, odd);
    store<T>(at, low);
    store<T>(at + w, high);
  };
  if (step == 2 && n > w && between) {
    for (; rows > 0; --rows, x += from_row, to += to_row) {
      for (int64_t i = 0; i + w < n; i += w) {
        T* at = to + 2 * i;
        weave(at, load<T>(x + i), every_second<T, true>(load<T>(at), load<T>(at + w)));
      }
      T* last = to + 2 * (n - w) - 1;  // the last element has no neighbour on its right, perhaps
      weave(last, every_second<T, false>(load<T>(last), load<T>(last + w)), load<T>(x + n - w));
    }
  } else {
    for (; rows > 0; --rows, x += from_row, to += to_row)
      for (int64_t i = 0; i < n; ++i) to[i * step] = x[i];
  }
}

}  // namespace CK_ISA
}  // namespace convkern
