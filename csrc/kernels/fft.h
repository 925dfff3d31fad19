// Transforms of vectors of lines for convolution, in the order that convolution likes: residues of a polynomial
//   X(t) = sum_j x_j t^j   modulo  t^n - c   ->   X at the n roots of t^n = c
// A pass of radix R splits every block (mod t^n - c) into R blocks (mod t^(n/R) - c_m), c_m = rho w^m, rho = c^(1/R),
// w = exp(2 pi i / R):   b_m[j] = sum_k w^(k m) rho^k a_k[j],   a_k the k-th of R parts of the block.
// So the factors rho^k are constants of a block, nothing is reordered, and the inverse undoes the passes backwards.
// With c = i a real line of 2n is one of n complex numbers, x_j + i x_(j+n), wrapped around with its sign changed.
// Lanes are lines: no shuffle but in scatter and gather. Knows neither kernels nor images.
#pragma once

#include "kernels/fft_product.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

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

// R numbers of a block, and where a pass puts them: parts of a block lie `part` elements apart.
template <class T, int R>
CK_INLINE void fft_load(Complex<T> (&a)[R], const T* from, ptrdiff_t part, ptrdiff_t imag) {
  CK_UNROLL
  for (int k = 0; k < R; ++k) a[k] = {load<T>(from + k * part), load<T>(from + k * part + imag)};
}
template <class T, int R>
CK_INLINE void fft_store(const Complex<T> (&a)[R], T* to, ptrdiff_t part, ptrdiff_t imag) {
  CK_UNROLL
  for (int k = 0; k < R; ++k) {
    store<T>(to + k * part, a[k].re);
    store<T>(to + k * part + imag, a[k].im);
  }
}

// The factors rho^k of a block, k = 1 .. R - 1: scalar pairs, or pairs of vectors where every lane has its own.
template <class T, int R, bool PerLane>
struct FftFactors {
  static constexpr int w = lanes<T>, size = 2 * (PerLane ? w : 1), count = size * (R - 1);
  Complex<T> f[R];
  CK_INLINE explicit FftFactors(const T* at) {
    CK_UNROLL
    for (int k = 1; k < R; ++k, at += size) {
      if constexpr (PerLane)
        f[k] = {load<T>(at), load<T>(at + w)};
      else
        f[k] = {splat<T>(at[0]), splat<T>(at[1])};
    }
  }
  CK_INLINE void split(Complex<T> (&a)[R]) const {
    CK_UNROLL
    for (int k = 1; k < R; ++k) a[k] = times<T, false>(a[k], f[k]);
    butterfly<T, R, 1>(a);
  }
  CK_INLINE void join(Complex<T> (&a)[R]) const {
    butterfly<T, R, -1>(a);
    CK_UNROLL
    for (int k = 1; k < R; ++k) a[k] = times<T, true>(a[k], f[k]);
  }
};

template <class T, int R, bool Inverse, class Factors>
CK_INLINE void fft_step(const Factors& f, const T* from, ptrdiff_t part, ptrdiff_t imag, T* to, ptrdiff_t to_part,
                        ptrdiff_t to_imag) {
  Complex<T> a[R];
  fft_load<T, R>(a, from, part, imag);
  if constexpr (Inverse)
    f.join(a);
  else
    f.split(a);
  fft_store<T, R>(a, to, to_part, to_imag);
}

// One pass over `blocks` blocks of R parts of `inner` numbers. Packed: numbers lie [re, im][lane] side by side.
template <class T, int R, bool Inverse, bool PerLane, bool Packed>
void fft_pass(FftView<const T> from, FftView<T> to, int64_t blocks, int64_t inner, const T* factors) {
  using Factors = FftFactors<T, R, PerLane>;
  constexpr int w = lanes<T>;
  const ptrdiff_t from_step = Packed ? 2 * w : from.step, from_imag = Packed ? w : from.imag;
  const ptrdiff_t to_step = Packed ? 2 * w : to.step, to_imag = Packed ? w : to.imag;
  const T* source = from.data;
  T* target = to.data;
  if (Packed && inner == 1) {  // blocks are the loop
    CK_NO_UNROLL
    for (int64_t b = 0; b < blocks; ++b, factors += Factors::count, source += 2 * w * R, target += 2 * w * R)
      fft_step<T, R, Inverse>(Factors(factors), source, 2 * w, w, target, 2 * w, w);
    return;
  }
  const ptrdiff_t part = inner * from_step, to_part = inner * to_step;
  for (int64_t b = 0; b < blocks; ++b, factors += Factors::count) {
    const Factors f(factors);
    const T* const end = source + part;
    CK_NO_UNROLL
    for (; source != end; source += from_step, target += to_step)
      fft_step<T, R, Inverse>(f, source, part, from_imag, target, to_part, to_imag);
    source += (R - 1) * part, target += (R - 1) * to_part;
  }
}

template <class T, bool Inverse, bool PerLane, bool Packed>
CK_INLINE void fft_any_pass(int radix, FftView<const T> from, FftView<T> to, int64_t blocks, int64_t inner,
                            const T* factors) {
  const auto pass = radix == 4   ? fft_pass<T, 4, Inverse, PerLane, Packed>
                    : radix == 2 ? fft_pass<T, 2, Inverse, PerLane, Packed>
                    : radix == 3 ? fft_pass<T, 3, Inverse, PerLane, Packed>
                                 : fft_pass<T, 5, Inverse, PerLane, Packed>;
  pass(from, to, blocks, inner, factors);
}

// Columns: line.lines vectors side by side are a longer loop of the same factors.
template <class T>
void fft_forward(const FftLine<T>& line, FftView<const T> from, FftView<T> to) {
  constexpr int w = lanes<T>;
  const T* factors = line.factors;
  int64_t blocks = 1, inner = line.n * line.lines;
  for (int i = 0; i < line.passes; ++i, from = {to.data, to.step, to.imag}) {
    const int r = line.radix[i];
    inner /= r;
    if (from.step != to.step && line.lines > 1) {  // the first: rows may lie anywhere
      for (int64_t l = 0; l < line.lines; ++l)
        fft_any_pass<T, false, false, false>(r, {from.data + l * w, from.step, from.imag},
                                             {to.data + l * w, line.lines * w, to.imag}, 1, line.n / r, factors);
    } else {
      fft_any_pass<T, false, false, false>(r, from, to, blocks, inner, factors);
    }
    factors += 2 * blocks * (r - 1);
    blocks *= r;
  }
}

// n times the inverse, in place.
template <class T>
void fft_inverse(const FftLine<T>& line, FftView<T> at) {
  const T* factors = line.factors + 2 * (line.n - 1);
  int64_t blocks = line.n, inner = line.lines;
  for (int i = line.passes - 1; i >= 0; --i) {
    const int r = line.radix[i];
    blocks /= r;
    factors -= 2 * blocks * (r - 1);
    fft_any_pass<T, true, false, false>(r, {at.data, at.step, at.imag}, at, blocks, inner, factors);
    inner *= r;
  }
}

// A row in place, of which [re, im][lane] lie side by side: `count` passes from the first, or back through them.
template <class T, bool PerLane>
CK_INLINE void fft_row_forward(const FftLine<T>& line, T* row, int count) {
  constexpr int w = lanes<T>;
  const T* factors = line.factors;
  int64_t blocks = 1, inner = line.n;
  for (int i = 0; i < count; ++i) {
    const int r = line.radix[i];
    inner /= r;
    fft_any_pass<T, false, PerLane, true>(r, {row, 2 * w, w}, {row, 2 * w, w}, blocks, inner, factors);
    factors += 2 * blocks * (r - 1) * (PerLane ? w : 1);
    blocks *= r;
  }
}
template <class T, bool PerLane>
CK_INLINE void fft_row_inverse(const FftLine<T>& line, T* row, int count) {
  constexpr int w = lanes<T>;
  int64_t inner = 1;
  for (int i = line.passes - 1; i >= count; --i) inner *= line.radix[i];
  int64_t blocks = line.n / inner;
  const T* factors = line.factors + 2 * (blocks - 1) * (PerLane ? w : 1);
  for (int i = count - 1; i >= 0; --i) {
    const int r = line.radix[i];
    blocks /= r;
    factors -= 2 * blocks * (r - 1) * (PerLane ? w : 1);
    fft_any_pass<T, true, PerLane, true>(r, {row, 2 * w, w}, {row, 2 * w, w}, blocks, inner, factors);
    inner *= r;
  }
}
template <class T>
void fft_rows(const FftLine<T>& line, T* row) {
  line.per_lane ? fft_row_forward<T, true>(line, row, line.passes) : fft_row_forward<T, false>(line, row, line.passes);
}
template <class T>
void fft_rows_inverse(const FftLine<T>& line, T* row) {
  line.per_lane ? fft_row_inverse<T, true>(line, row, line.passes) : fft_row_inverse<T, false>(line, row, line.passes);
}

// The last pass, times the kernel, and back: numbers stay in registers between. What lies ahead is fetched a few lines
// a time: more at once would wait for each other.
template <class T, int R, bool PerLane>
void fft_turn(T* row, int64_t blocks, const T* factors, const T* kernel, FftAhead ahead) {
  using Factors = FftFactors<T, R, PerLane>;
  constexpr int w = lanes<T>;
  const int64_t fetches = (ahead.rows * ahead.lines + blocks - 1) / blocks;
  int64_t at = 0;
  CK_NO_UNROLL
  for (int64_t b = 0; b < blocks; ++b, factors += Factors::count, row += 2 * w * R, kernel += 2 * w * R) {
    for (int64_t i = 0; i < fetches && ahead.rows > 0; ++i) {
      __builtin_prefetch(ahead.data + 64 * at, 0, 2);
      if (++at == ahead.lines) at = 0, --ahead.rows, ahead.data += ahead.pitch;
    }
    const Factors f(factors);
    Complex<T> a[R];
    fft_load<T, R>(a, row, 2 * w, w);
    f.split(a);
    CK_UNROLL
    for (int k = 0; k < R; ++k)
      a[k] = times<T, false>(a[k], {load<T>(kernel + 2 * k * w), load<T>(kernel + 2 * k * w + w)});
    f.join(a);
    fft_store<T, R>(a, row, 2 * w, w);
  }
}
template <class T, bool PerLane>
CK_INLINE void fft_row_filter(const FftLine<T>& line, T* row, const T* kernel, FftAhead ahead) {
  const int last = line.passes - 1, r = line.radix[last];
  const int64_t blocks = line.n / r;
  const T* factors = line.factors + 2 * (blocks - 1) * (PerLane ? lanes<T> : 1);
  const auto turn = r == 4   ? fft_turn<T, 4, PerLane>
                    : r == 2 ? fft_turn<T, 2, PerLane>
                    : r == 3 ? fft_turn<T, 3, PerLane>
                             : fft_turn<T, 5, PerLane>;
  fft_row_forward<T, PerLane>(line, row, last);
  turn(row, blocks, factors, kernel, ahead);
  fft_row_inverse<T, PerLane>(line, row, last);
}
template <class T>
void fft_filter(const FftLine<T>& line, T* row, const T* kernel, FftAhead ahead) {
  line.per_lane ? fft_row_filter<T, true>(line, row, kernel, ahead)
                : fft_row_filter<T, false>(line, row, kernel, ahead);
}

// to[g][l][re, im][i] = column[g w + i][re, im][l]: lanes change from l to i, groups lie `pitch` apart. And back.
template <class T>
void fft_scatter(FftView<const T> column, int64_t groups, T* to, ptrdiff_t pitch) {
  constexpr int w = lanes<T>;
  for (int64_t g = 0; g < groups; ++g, column.data += w * column.step, to += pitch)
    for (int part = 0; part < 2; ++part) {
      Vector<T> r[w];
      CK_UNROLL
      for (int i = 0; i < w; ++i) r[i] = load<T>(column.data + i * column.step + part * column.imag);
      transpose<T>(r);
      CK_UNROLL
      for (int i = 0; i < w; ++i) store<T>(to + (2 * i + part) * w, r[i]);
    }
}
template <class T>
void fft_gather(const T* from, ptrdiff_t pitch, int64_t groups, FftView<T> column) {
  constexpr int w = lanes<T>;
  for (int64_t g = 0; g < groups; ++g, column.data += w * column.step, from += pitch)
    for (int part = 0; part < 2; ++part) {
      Vector<T> r[w];
      CK_UNROLL
      for (int i = 0; i < w; ++i) r[i] = load<T>(from + (2 * i + part) * w);
      transpose<T>(r);
      CK_UNROLL
      for (int i = 0; i < w; ++i) store<T>(column.data + i * column.step + part * column.imag, r[i]);
    }
}

template <class T>
constexpr FftKernels<T> fft_kernels() {
  return {fft_forward<T>, fft_inverse<T>, fft_rows<T>, fft_rows_inverse<T>, fft_filter<T>, fft_scatter<T>,
          fft_gather<T>,  fft_product<T>, fft_keep<T>, fft_copy<T>,         fft_finish<T>};
}

}  // namespace CK_ISA
}  // namespace convkern
