// The depthwise kernel on planes: neighbouring pixels on the lanes, taps broadcast.
//   out[q][i] = bias + sum_{k,l} image[(q * S + l) * row + offset[k] + i] * weights[l][k]
// A tile is R lines of outputs by NV vectors; where KY taps lie below each other, a vector is loaded once for all the
// lines that read it. An output's sum runs over k, then l, whatever the tile. Reads whole tiles, so the image needs
// lines below and a vector behind; writes them, too, where the next line of outputs is written later, and no more than
// the width elsewhere. Does not know borders: offsets and lines are those of a padded copy.
#pragma once

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

// KY and S are 0 where the taps of a column have to be read one by one.
template <class T, int R, int NV, int KY, int S>
void plane_tile(const DepthwisePlane<T>& job, int64_t q, int64_t i) {
  using V = Vector<T>;
  constexpr int w = lanes<T>;
  V acc[R][NV];
  CK_UNROLL
  for (int r = 0; r < R; ++r) {
    CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = splat<T>(job.bias);
  }
  const ptrdiff_t row = job.row;
  const T* image = job.image + q * job.stride * row + i;
  CK_NO_UNROLL
  for (int64_t k = 0; k < job.taps; ++k) {
    const T* from = image + job.offset[k];
    const T* weight = job.weights + k * job.weight_step;
    const ptrdiff_t next = job.taps * job.weight_step;
    if constexpr (KY > 0) {
      V tap[KY];
      CK_UNROLL
      for (int l = 0; l < KY; ++l) {
        tap[l] = splat<T>(weight[l * next]);
        keep(tap[l]);
      }
      CK_UNROLL
      for (int j = 0; j < (R - 1) * S + KY; ++j, from += row) {
        CK_UNROLL
        for (int v = 0; v < NV; ++v) {
          V pixels = load<T>(from + v * w);
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
        const T* line = from + l * job.dilation * row;
        CK_UNROLL
        for (int r = 0; r < R; ++r, line += job.stride * row) {
          CK_UNROLL
          for (int v = 0; v < NV; ++v) acc[r][v] += load<T>(line + v * w) * tap;
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
  T* out = job.out + q * job.out_row + i;
  const int64_t used = job.width - i;
  // Where a tile may end: its own line's end or, where lines lie end to end, that of the last one.
  const int64_t room = job.out_row == job.width ? (job.count - q) * job.width - i : used;
  CK_UNROLL
  for (int r = 0; r < R; ++r, out += job.out_row) {
    if (used >= NV * w ? q + r < job.count : room - r * job.width >= NV * w) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) store<T>(out + v * w, acc[r][v]);
    } else if (q + r < job.count) {
      T line[NV * w];
      CK_UNROLL
      for (int v = 0; v < NV; ++v) store<T>(line + v * w, acc[r][v]);
      copy_run<T>(line, out, used < NV * w ? used : NV * w);
    }
  }
}

// Tiles from the right end leftwards: what one writes past a line's end, the next line's tiles overwrite.
template <class T, int KY, int S>
void plane_tiles(const DepthwisePlane<T>& job) {
  constexpr int w = lanes<T>, most = CK_REGISTERS >= 32 ? 4 : KY == 7 ? 1 : 2, tall = CK_REGISTERS >= 32 ? 7 : 4;
  const int64_t vectors = (job.width + w - 1) / w, tiles = (vectors + most - 1) / most;
  for (int64_t q = 0; q < job.count;) {
    if (vectors == 1) {
      plane_tile<T, tall, 1, KY, S>(job, q, 0);
      q += tall;
      continue;
    }
    for (int64_t t = tiles - 1; t >= 0; --t) {
      const int64_t first = t * vectors / tiles, n = (t + 1) * vectors / tiles - first;
      if constexpr (most >= 4)
        if (n == 4) plane_tile<T, 4, 4, KY, S>(job, q, first * w);
      if constexpr (most >= 3)
        if (n == 3) plane_tile<T, 4, 3, KY, S>(job, q, first * w);
      if constexpr (most >= 2)
        if (n == 2) plane_tile<T, 4, 2, KY, S>(job, q, first * w);
      if (n == 1) plane_tile<T, 4, 1, KY, S>(job, q, first * w);
    }
    q += 4;
  }
}

template <class T>
void depthwise_plane(const DepthwisePlane<T>& job) {
  const bool one = job.stride == 1 && job.dilation == 1, two = job.stride == 2 && job.dilation == 1;
  const int64_t k = job.lines;
  const auto run = one && k == 3   ? plane_tiles<T, 3, 1>
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
