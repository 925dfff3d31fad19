// Powers of vectors:  out[i] = x^p,  by multiplications and roots where p allows, else exp(p log x).
// Relative error a few units in the last place times |p log x|. Knows no pooling.
#pragma once

#include "kernels/element.h"

namespace convkern {
namespace CK_ISA {

// d^b for d > 0 by exp(b log d); beyond that as C's pow for a b that is no whole number: NaN for d < 0 but -infinity.
template <class T>
CK_INLINE Vector<T> positive_power(Vector<T> d, T b) {
  using I = typename VectorOf<T>::index;
  constexpr int digits = sizeof(T) == 4 ? 23 : 52, bias = sizeof(T) == 4 ? 127 : 1023;
  constexpr T infinity = static_cast<T>(__builtin_inf());
  using P = typename PositionOf<T>::type;
  const I bits = (I)d, fraction = bits & ((P{1} << digits) - 1);
  const Vector<T> mantissa = (Vector<T>)(fraction | (P{bias} << digits));
  const Vector<T> exponent = __builtin_convertvector((bits >> digits) - bias, Vector<T>);
  const Vector<T> logarithm = exponent * T(0.693147180559945309417) + logarithm_of_1_plus<T>(mantissa - T(1));
  Vector<T> y = exponential<T>(logarithm * b);
  y = d == T(0) ? splat<T>(b < 0 ? infinity : b > 0 ? T(0) : T(1)) : y;
  y = absolute<T>(d) == infinity ? splat<T>(b < 0 ? T(0) : b > 0 ? infinity : T(1)) : y;
  return ((d >= T(0)) | (d == -infinity)) ? y : splat<T>(static_cast<T>(__builtin_nan("")));
}

// Of -infinity infinity, as pow has it.
template <class T>
CK_INLINE Vector<T> square_root(Vector<T> x) {
  x = x == -static_cast<T>(__builtin_inf()) ? -x : x;
  CK_UNROLL
  for (int l = 0; l < lanes<T>; ++l) x[l] = sizeof(T) == 4 ? __builtin_sqrtf(x[l]) : __builtin_sqrt(x[l]);
  return x;
}

// Negative x have a power where p is a whole number: as C's pow.
template <class T>
void power(const T* x, T* out, int64_t count, T p) {
  const bool whole = p == static_cast<T>(__builtin_floor(static_cast<double>(p)));
  const bool odd = whole && __builtin_fmod(static_cast<double>(p), 2.0) != 0;
  const auto each = [&](auto f) __attribute__((always_inline)) {
    each_vector<T>(count, [&](int64_t i, auto get, auto put) { put(out + i, f(get(x + i))); });
  };
  if (p == T(1)) return each([](Vector<T> v) { return v; });
  if (p == T(2)) return each([](Vector<T> v) { return v * v; });
  if (p == T(3)) return each([](Vector<T> v) { return v * v * v; });
  if (p == T(0.5)) return each([](Vector<T> v) { return square_root<T>(v); });
  if (p == T(-0.5)) return each([](Vector<T> v) { return T(1) / square_root<T>(v); });
  each([=](Vector<T> v) {
    if (!whole) return positive_power<T>(v, p);
    const Vector<T> y = positive_power<T>(absolute<T>(v), p);
    return odd ? (v < T(0) ? -y : y) : y;
  });
}

}  // namespace CK_ISA
}  // namespace convkern
