// Transforms of vectors of lines for convolution, in the order that convolution likes: residues of a polynomial
//   X(t) = sum_j x_j t^j   modulo  t^n - c   ->   X at the n roots of t^n = c
// A pass of radix R splits every block (mod t^n - c) into R blocks (mod t^(n/R) - c_m), c_m = rho w^m, rho = c^(1/R),
// w = exp(2 pi i / R):   b_m[j] = sum_k w^(k m) rho^k a_k[j],   a_k the k-th of R parts of the block.
// So the factors rho^k are constants of a block, nothing is reordered, and the inverse undoes the passes backwards.
// With c = i a real line of 2n is one of n complex numbers, x_j + i x_(j+n), wrapped around with its sign changed.
// Lanes are lines: no shuffle but in scatter and gather. Knows neither kernels nor images.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <class T>
struct Complex {
  Vector<T> re, im;
};

template <class T>
CK_INLINE Complex<T> add(Complex<T> a, Complex<T> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
CK_INLINE Complex<T> sub(Complex<T> a, Complex<T> b) {
  return {a.re - b.re, a.im - b.im};
}
// a + s i b
template <class T, int S>
CK_INLINE Complex<T> add_turned(Complex<T> a, Complex<T> b) {
  if constexpr (S > 0) return {a.re - b.im, a.im + b.re};
  return {a.re + b.im, a.im - b.re};
}
// a b, or a conj(b)
template <class T, bool Conjugate>
CK_INLINE Complex<T> times(Complex<T> a, Complex<T> b) {
  if constexpr (Conjugate) return {a.re * b.re + a.im * b.im, a.im * b.re - a.re * b.im};
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

// b_m = sum_k exp(S 2 pi i k m / R) a_k, in place.
template <class T, int R, int S>
CK_INLINE void butterfly(Complex<T> (&a)[R]) {
  using C = Complex<T>;
  if constexpr (R == 2) {
    const C d = sub<T>(a[0], a[1]);
    a[0] = add<T>(a[0], a[1]);
    a[1] = d;
  } else if constexpr (R == 3) {
    const Vector<T> half = splat<T>(T(0.5)), sine = splat<T>(T(0.866025403784438646763723170752936183L));
    const C s = add<T>(a[1], a[2]), d = sub<T>(a[1], a[2]);
    const C m = {a[0].re - half * s.re, a[0].im - half * s.im}, t = {sine * d.re, sine * d.im};
    a[0] = add<T>(a[0], s);
    a[1] = add_turned<T, S>(m, t);
    a[2] = add_turned<T, -S>(m, t);
  } else if constexpr (R == 4) {
    const C s = add<T>(a[0], a[2]), d = sub<T>(a[0], a[2]), u = add<T>(a[1], a[3]), v = sub<T>(a[1], a[3]);
    a[0] = add<T>(s, u);
    a[1] = add_turned<T, S>(d, v);
    a[2] = sub<T>(s, u);
    a[3] = add_turned<T, -S>(d, v);
  } else {
    static_assert(R == 5);
    const Vector<T> c1 = splat<T>(T(0.309016994374947424102293417182819059L)),
                    c2 = splat<T>(T(-0.809016994374947424102293417182819059L)),
                    s1 = splat<T>(T(0.951056516295153572116439333379382143L)),
                    s2 = splat<T>(T(0.587785252292473129168705954639072769L));
    const C p = add<T>(a[1], a[4]), q = sub<T>(a[1], a[4]), r = add<T>(a[2], a[3]), u = sub<T>(a[2], a[3]);
    const C m1 = {a[0].re + c1 * p.re + c2 * r.re, a[0].im + c1 * p.im + c2 * r.im};
    const C m2 = {a[0].re + c2 * p.re + c1 * r.re, a[0].im + c2 * p.im + c1 * r.im};
    const C t1 = {s1 * q.re + s2 * u.re, s1 * q.im + s2 * u.im};
    const C t2 = {s2 * q.re - s1 * u.re, s2 * q.im - s1 * u.im};
    a[0] = {a[0].re + p.re + r.re, a[0].im + p.im + r.im};
    a[1] = add_turned<T, S>(m1, t1);
    a[4] = add_turned<T, -S>(m1, t1);
    a[2] = add_turned<T, S>(m2, t2);
    a[3] = add_turned<T, -S>(m2, t2);
  }
}

// One pass over `blocks` blocks of R parts of `inner` numbers. Factors: per block R - 1 complex numbers (rho^k), each a
// scalar pair, or a pair of vectors where every lane has its own.
template <class T, int R, bool Inverse, bool PerLane>
void fft_pass(FftView<const T> from, FftView<T> to, int64_t blocks, int64_t inner, const T* factors) {
  using C = Complex<T>;
  constexpr int w = lanes<T>, factor = PerLane ? w : 1;
  for (int64_t b = 0; b < blocks; ++b, factors += 2 * factor * (R - 1)) {
    C f[R];
    CK_UNROLL
    for (int k = 1; k < R; ++k) {
      const T* at = factors + 2 * factor * (k - 1);
      if constexpr (PerLane)
        f[k] = {load<T>(at), load<T>(at + w)};
      else
        f[k] = {splat<T>(at[0]), splat<T>(at[1])};
    }
    const T* source = from.data + b * R * inner * from.step;
    T* target = to.data + b * R * inner * to.step;
    CK_NO_UNROLL
    for (int64_t j = 0; j < inner; ++j, source += from.step, target += to.step) {
      C a[R];
      CK_UNROLL
      for (int k = 0; k < R; ++k) {
        const T* at = source + k * inner * from.step;
        a[k] = {load<T>(at), load<T>(at + from.imag)};
      }
      if constexpr (!Inverse) CK_UNROLL
      for (int k = 1; k < R; ++k) a[k] = times<T, false>(a[k], f[k]);
      butterfly<T, R, Inverse ? -1 : 1>(a);
      if constexpr (Inverse) CK_UNROLL
      for (int k = 1; k < R; ++k) a[k] = times<T, true>(a[k], f[k]);
      CK_UNROLL
      for (int k = 0; k < R; ++k) {
        T* at = target + k * inner * to.step;
        store<T>(at, a[k].re);
        store<T>(at + to.imag, a[k].im);
      }
    }
  }
}

template <class T, bool Inverse, bool PerLane>
CK_INLINE void fft_any_pass(int radix, FftView<const T> from, FftView<T> to, int64_t blocks, int64_t inner,
                            const T* factors) {
  const auto pass = radix == 4   ? fft_pass<T, 4, Inverse, PerLane>
                    : radix == 2 ? fft_pass<T, 2, Inverse, PerLane>
                    : radix == 3 ? fft_pass<T, 3, Inverse, PerLane>
                                 : fft_pass<T, 5, Inverse, PerLane>;
  pass(from, to, blocks, inner, factors);
}

// A vector of lines: from anywhere to work, which holds [n][re, im][lane]; work may be what is read.
template <class T>
void fft_forward(const FftLine<T>& line, FftView<const T> from, T* work) {
  constexpr int w = lanes<T>;
  const FftView<T> to = {work, 2 * w, w};
  const T* factors = line.factors;
  int64_t blocks = 1, inner = line.n;
  for (int i = 0; i < line.passes; ++i) {
    const int r = line.radix[i];
    inner /= r;
    if (line.per_lane)
      fft_any_pass<T, false, true>(r, from, to, blocks, inner, factors);
    else
      fft_any_pass<T, false, false>(r, from, to, blocks, inner, factors);
    factors += 2 * blocks * (r - 1) * (line.per_lane ? w : 1);
    blocks *= r;
    from = {work, 2 * w, w};
  }
}

// n times the inverse: from work, which it overwrites, to anywhere.
template <class T>
void fft_inverse(const FftLine<T>& line, T* work, FftView<T> to) {
  constexpr int w = lanes<T>;
  const FftView<const T> from = {work, 2 * w, w};
  const T* factors = line.factors + 2 * (line.n - 1) * (line.per_lane ? w : 1);
  int64_t blocks = line.n, inner = 1;
  for (int i = line.passes - 1; i >= 0; --i) {
    const int r = line.radix[i];
    blocks /= r;
    factors -= 2 * blocks * (r - 1) * (line.per_lane ? w : 1);
    const FftView<T> target = i ? FftView<T>{work, 2 * w, w} : to;
    if (line.per_lane)
      fft_any_pass<T, true, true>(r, from, target, blocks, inner, factors);
    else
      fft_any_pass<T, true, false>(r, from, target, blocks, inner, factors);
    inner *= r;
  }
}

// to[g][l][re, im][i] = column[g w + i][re, im][l]: lanes change from l to i, groups lie `pitch` apart. And back.
template <class T>
void fft_scatter(const T* column, int64_t groups, T* to, ptrdiff_t pitch) {
  constexpr int w = lanes<T>;
  for (int64_t g = 0; g < groups; ++g, column += 2 * w * w, to += pitch)
    for (int part = 0; part < 2; ++part) {
      Vector<T> r[w];
      CK_UNROLL
      for (int i = 0; i < w; ++i) r[i] = load<T>(column + (2 * i + part) * w);
      transpose<T>(r);
      CK_UNROLL
      for (int i = 0; i < w; ++i) store<T>(to + (2 * i + part) * w, r[i]);
    }
}

template <class T>
void fft_gather(const T* from, ptrdiff_t pitch, int64_t groups, T* column) {
  constexpr int w = lanes<T>;
  for (int64_t g = 0; g < groups; ++g, column += 2 * w * w, from += pitch) fft_scatter<T>(from, 1, column, 0);
}

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

// A single image and kernel: nothing to sum, so the frequencies are the loop.
template <class T>
CK_INLINE void fft_one(const FftProduct<T>& job, const T* image, T* result) {
  constexpr int w = lanes<T>;
  const T* kernel = job.kernel + job.first * job.kernel_point;
  for (int64_t point = job.first; point < job.last; ++point, kernel += job.kernel_point) {
    const Complex<T> x = {load<T>(image + point * 2 * w), load<T>(image + point * 2 * w + w)};
    const Complex<T> y = times<T, false>(x, {load<T>(kernel), load<T>(kernel + w)});
    store<T>(result + point * 2 * w, y.re);
    store<T>(result + point * 2 * w + w, y.im);
  }
}

template <class T>
void fft_product(const FftProduct<T>& job) {
  constexpr int w = lanes<T>, most = CK_REGISTERS >= 32 ? 4 : 2;
  if (job.outputs == 1 && job.terms == 1 && !job.add) {
    for (int64_t t = 0; t < job.tiles; ++t) fft_one<T>(job, job.image + job.tile[t], job.result + t * job.result_tile);
    return;
  }
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

template <class T>
constexpr FftKernels<T> fft_kernels() {
  return {fft_forward<T>, fft_inverse<T>, fft_scatter<T>, fft_gather<T>, fft_product<T>, fft_keep<T>, fft_finish<T>};
}

}  // namespace CK_ISA
}  // namespace convkern
