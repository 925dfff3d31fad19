// What `fft` does beside transforms: sums of products of spectra, with the frequencies in the lanes, and the ends of
// its way, rows of an image in and rows of results out. Knows neither transforms nor tiles.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <class T>
struct Complex {
  Vector<T> re, im;
};

// OUT outputs of TILES tiles at one point: result += sum_k image_k kernel_k.
template <class T, int TILES, int OUT>
CK_INLINE void fft_sums(const FftProduct<T>& job, const ptrdiff_t* tile, int64_t point, const T* kernel, T* result) {
  using C = Complex<T>;
  constexpr int w = lanes<T>;
  C acc[TILES][OUT];
  CK_UNROLL
  for (int t = 0; t < TILES; ++t) CK_UNROLL
  for (int o = 0; o < OUT; ++o) {
    const T* at = result + t * job.result_tile + o * job.result_output;
    acc[t][o] = C{Vector<T>{}, Vector<T>{}};
    if (job.add) acc[t][o] = C{load<T>(at), load<T>(at + w)};
  }
  const T* const image = job.image + point * 2 * w;
  CK_NO_UNROLL
  for (int64_t k = 0; k < job.terms; ++k, kernel += 2 * w) {
    C x[TILES];
    CK_UNROLL
    for (int t = 0; t < TILES; ++t) {
      const T* at = image + tile[t * job.terms + k];
      x[t] = {load<T>(at), load<T>(at + w)};
    }
    CK_UNROLL
    for (int o = 0; o < OUT; ++o) {
      const C u = {load<T>(kernel + o * job.kernel_output), load<T>(kernel + o * job.kernel_output + w)};
      CK_UNROLL
      for (int t = 0; t < TILES; ++t) {
        acc[t][o].re += x[t].re * u.re;
        acc[t][o].im += x[t].re * u.im;
        acc[t][o].re -= x[t].im * u.im;
        acc[t][o].im += x[t].im * u.re;
      }
    }
  }
  CK_UNROLL
  for (int t = 0; t < TILES; ++t) CK_UNROLL
  for (int o = 0; o < OUT; ++o) {
    T* at = result + t * job.result_tile + o * job.result_output;
    store<T>(at, acc[t][o].re);
    store<T>(at + w, acc[t][o].im);
  }
}

template <class T, int OUT>
CK_INLINE void fft_tiles(const FftProduct<T>& job, int64_t point, const T* kernel, T* result) {
  int64_t t = 0;
  for (; t + 2 <= job.tiles; t += 2)
    fft_sums<T, 2, OUT>(job, job.tile + t * job.terms, point, kernel, result + t * job.result_tile);
  if (t < job.tiles) fft_sums<T, 1, OUT>(job, job.tile + t * job.terms, point, kernel, result + t * job.result_tile);
}

template <class T>
void fft_product(const FftProduct<T>& job) {
  constexpr int w = lanes<T>, most = CK_REGISTERS >= 32 ? 4 : 2;
  for (int64_t point = job.first; point < job.last; ++point) {
    const T* kernel = job.kernel + point * job.kernel_point;
    T* result = job.result + point * 2 * w;
    int64_t o = 0;
    for (; o + most <= job.outputs; o += most, kernel += most * job.kernel_output, result += most * job.result_output)
      fft_tiles<T, most>(job, point, kernel, result);
    for (; o < job.outputs; ++o, kernel += job.kernel_output, result += job.result_output)
      fft_tiles<T, 1>(job, point, kernel, result);
  }
}

// to[i] = scale conj(from[i]), the numbers of `from` `step` apart.
template <class T>
void fft_keep(const T* from, ptrdiff_t step, int64_t count, T scale, T* to) {
  constexpr int w = lanes<T>;
  const Vector<T> s = splat<T>(scale);
  for (int64_t i = 0; i < count; ++i, from += step, to += 2 * w) {
    store<T>(to, load<T>(from) * s);
    store<T>(to + w, load<T>(from + w) * -s);
  }
}

// to(i, j) = clamp(rows(i, j) + bias), limits: lo and hi, or null; whether all are finite before the clamp.
template <class T>
bool fft_finish(const T* rows, ptrdiff_t pitch, int64_t count, int64_t columns, T bias, T* to, ptrdiff_t to_pitch,
                const T* limits) {
  constexpr int w = lanes<T>, chains = 4;
  const Vector<T> b = splat<T>(bias), lo = splat<T>(limits ? limits[0] : T(0)),
                  hi = splat<T>(limits ? limits[1] : T(0));
  Vector<T> nothing[chains] = {};  // x - x: zero, but NaN for a NaN or an infinity
  T rest = 0;
  for (int64_t i = 0; i < count; ++i, rows += pitch, to += to_pitch) {
    for (int64_t j = 0; j < columns; j += 64 / sizeof(T)) __builtin_prefetch(to + columns + j, 1, 2);  // the next ones
    const auto vector = [&](int64_t j, Vector<T>& sum) {
      const Vector<T> x = load<T>(rows + j) + b;
      sum += x - x;
      store<T>(to + j, limits ? clamp<T>(x, lo, hi) : x);
    };
    int64_t j = 0;
    for (; j + chains * w <= columns; j += chains * w) {
      CK_UNROLL
      for (int k = 0; k < chains; ++k) vector(j + k * w, nothing[k]);
    }
    for (; j + w <= columns; j += w) vector(j, nothing[0]);
    for (; j < columns; ++j) {
      const T x = rows[j] + bias;
      rest += x - x;
      to[j] = limits ? clamp<T>(x, limits[0], limits[1]) : x;
    }
  }
  CK_UNROLL
  for (int k = 1; k < chains; ++k) nothing[0] += nothing[k];
  bool finite = rest == 0;
  for (int l = 0; l < w; ++l) finite &= nothing[0][l] == 0;
  return finite;
}

// Rows of an image as they are; what follows them is wanted soon.
template <class T>
void fft_copy(const T* from, ptrdiff_t pitch, int64_t rows, int64_t columns, T* to, ptrdiff_t to_pitch) {
  constexpr int w = lanes<T>;
  for (int64_t i = 0; i < rows; ++i, from += pitch, to += to_pitch) {
    int64_t j = 0;
    for (; j + w <= columns; j += w) {
      store<T>(to + j, load<T>(from + j));
      __builtin_prefetch(from + columns + j, 0, 2);
    }
    if (j < columns && columns >= w)
      store<T>(to + columns - w, load<T>(from + columns - w));
    else
      for (; j < columns; ++j) to[j] = from[j];
  }
}

}  // namespace CK_ISA
}  // namespace convkern
