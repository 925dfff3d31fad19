// Maxima and minima of lines, vectors along the line; the windows of line_table.h.
//   across:  out[m][x] = extreme of rows[m][x], ..., rows[m + size - 1][x]
//   along:   out[x]    = extreme of line[x], line[x + step], ..., line[x + (size - 1) step]
// Works on every element type as it is. Does not know borders, and leaves the question what a NaN does to the caller.
#pragma once

#include "kernels/line_table.h"
#include "kernels/simd.h"

namespace convkern {
namespace CK_ISA {

// Calls whole(x, Count<NV>) and one(x) so that all of [0, n) is covered; the last vector may repeat some of those
// before.
template <int N>
struct Count {
  static constexpr int value = N;
};
template <int NV, class Whole, class One>
CK_INLINE void cover(int64_t n, int w, Whole whole, One one) {
  int64_t x = 0;
  for (; x + NV * w <= n; x += NV * w) whole(x, Count<NV>{});
  for (; x + w <= n; x += w) whole(x, Count<1>{});
  if (x == n) return;
  if (n >= w) return whole(n - w, Count<1>{});
  for (; x < n; ++x) one(x);
}

// The later of two equals never wins; nor does a NaN, unless it comes first.
template <bool Minimum, class V>
CK_INLINE V extreme_of(V first, V second) {
  if constexpr (Minimum)
    return second < first ? second : first;
  else
    return second > first ? second : first;
}

template <class T>
CK_INLINE Vector<T> load_one(const T* from) {
  Vector<T> v{};
  v[0] = *from;
  return v;
}

// van Herk 1992, Gil & Werman 1993: the windows of `size` outputs share row size - 1. out[m] first holds the extreme
// of the rows up to that one, then takes in those that follow, three comparisons an output whatever the size.
template <class T, bool Minimum>
void extreme_across_as(const LineOp& op, const T* const* all, int64_t outputs, T* const* results, int64_t n) {
  using V = Vector<T>;
  const int64_t size = op.size;
  for (int64_t block = 0; block < outputs; block += size) {
    const T* const* rows = all + block;
    T* const* out = results + block;
    const int64_t count = outputs - block < size ? outputs - block : size;
    const auto run = [&](int64_t x, auto vectors, auto read, auto write) {
      constexpr int nv = decltype(vectors)::value, w = lanes<T>;
      V best[nv];
      CK_UNROLL
      for (int v = 0; v < nv; ++v) best[v] = read(rows[size - 1] + x + v * w);
      CK_NO_UNROLL
      for (int64_t k = size - 2; k >= 0; --k) {
        if (k + 1 < count) {
          CK_UNROLL
          for (int v = 0; v < nv; ++v) write(out[k + 1] + x + v * w, best[v]);
        }
        CK_UNROLL
        for (int v = 0; v < nv; ++v) best[v] = extreme_of<Minimum>(read(rows[k] + x + v * w), best[v]);
      }
      CK_UNROLL
      for (int v = 0; v < nv; ++v) write(out[0] + x + v * w, best[v]);
      if (count == 1) return;
      CK_UNROLL
      for (int v = 0; v < nv; ++v) best[v] = read(rows[size] + x + v * w);
      CK_NO_UNROLL
      for (int64_t m = 1; m < count; ++m) {
        CK_UNROLL
        for (int v = 0; v < nv; ++v) {
          T* to = out[m] + x + v * w;
          write(to, extreme_of<Minimum>(read(to), best[v]));
        }
        if (m + 1 == count) break;
        CK_UNROLL
        for (int v = 0; v < nv; ++v) best[v] = extreme_of<Minimum>(best[v], read(rows[size + m] + x + v * w));
      }
    };
    cover<4>(
        n, lanes<T>,
        [&](int64_t x, auto vectors) {
          run(x, vectors, [](const T* p) { return load<T>(p); }, [](T* p, V v) { store<T>(p, v); });
        },
        [&](int64_t x) {
          run(x, Count<1>{}, [](const T* p) { return load_one<T>(p); }, [](T* p, V v) { *p = v[0]; });
        });
  }
}

// Windows of 1, 2, 4, ... elements in place, then two of them that overlap. The line may be read a vector past its end.
template <class T, bool Minimum>
void extreme_along_as(const LineOp& op, T* line, T* out, int64_t n) {
  constexpr int w = lanes<T>;
  int64_t width = 1;
  for (; 2 * width <= op.size; width *= 2) {
    const int64_t length = n + (op.size - 2 * width) * op.step, far = width * op.step;
    for (int64_t x = 0; x < length; x += w)
      store<T>(line + x, extreme_of<Minimum>(load<T>(line + x), load<T>(line + x + far)));
  }
  const int64_t far = (op.size - width) * op.step;
  cover<1>(
      n, w,
      [&](int64_t x, auto) { store<T>(out + x, extreme_of<Minimum>(load<T>(line + x), load<T>(line + x + far))); },
      [&](int64_t x) {
        const T a = line[x], b = line[x + far];
        out[x] = Minimum ? (b < a ? b : a) : (b > a ? b : a);
      });
}

template <class T>
bool has_nan(const void* line, int64_t n) {
  const T* x = static_cast<const T*>(line);
  bool found = false;
  for (int64_t i = 0; i < n; ++i) found |= x[i] != x[i];
  return found;
}

template <class T>
void extreme_across(const LineOp& op, const void* const* rows, int64_t outputs, void* const* out, int64_t n) {
  const auto run = op.minimum ? extreme_across_as<T, true> : extreme_across_as<T, false>;
  run(op, reinterpret_cast<const T* const*>(rows), outputs, reinterpret_cast<T* const*>(out), n);
}

template <class T>
void extreme_along(const LineOp& op, void* line, void* out, int64_t n) {
  (op.minimum ? extreme_along_as<T, true> : extreme_along_as<T, false>)(op, static_cast<T*>(line), static_cast<T*>(out),
                                                                        n);
}

//   out[x] = extreme_t (base[offset[t] + x] + weight[t]),   weight 0 where there are none
template <class T, bool Minimum>
void extreme_taps_as(const TapOp& op, const void* base, void* out, int64_t n) {
  using V = Vector<T>;
  const T* from = static_cast<const T*>(base);
  const T* weights = static_cast<const T*>(op.weights);
  T* to = static_cast<T*>(out);
  constexpr int w = lanes<T>;
  const auto run = [&](int64_t x, auto vectors, auto read, auto write) {
    constexpr int nv = decltype(vectors)::value;
    V best[nv];
    const auto value = [&](int64_t t, int v) {
      const V pixel = read(from + op.offset[t] + x + v * w);
      return weights ? pixel + weights[t] : pixel;
    };
    CK_UNROLL
    for (int v = 0; v < nv; ++v) best[v] = value(0, v);
    for (int64_t t = 1; t < op.taps; ++t) {
      CK_UNROLL
      for (int v = 0; v < nv; ++v) best[v] = extreme_of<Minimum>(best[v], value(t, v));
    }
    CK_UNROLL
    for (int v = 0; v < nv; ++v) write(to + x + v * w, best[v]);
  };
  cover<4>(
      n, w,
      [&](int64_t x, auto vectors) {
        run(x, vectors, [](const T* p) { return load<T>(p); }, [](T* p, V v) { store<T>(p, v); });
      },
      [&](int64_t x) { run(x, Count<1>{}, [](const T* p) { return load_one<T>(p); }, [](T* p, V v) { *p = v[0]; }); });
}

template <class T>
void extreme_taps(const TapOp& op, const void* base, void* out, int64_t n) {
  (op.minimum ? extreme_taps_as<T, true> : extreme_taps_as<T, false>)(op, base, out, n);
}

}  // namespace CK_ISA
}  // namespace convkern
