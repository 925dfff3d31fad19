// exp, expm1, log1p, tanh and the normal distribution on vectors, by argument reduction and polynomials:
//   exp(x) = 2^n exp(r), |r| <= ln2/2;   expm1(r) = r + r^2 q(r)
//   log1p(u) = 2 atanh(s), s = u / (2 + u);   atanh(s) = s + s^3 l(s^2)
//   erfc(z) exp(z^2) = t e(u), t = 1 / (z + 3), u = (z - 3) t          (a rational substitution after W. J. Cody)
// The polynomials are Chebyshev fits on the reduced ranges; their errors are below half a unit in the last place.
// Results too small for a normal number are 0. tests/test_activations.py holds the functions to their stated errors.
#pragma once

#include "kernels/simd.h"

namespace convkern {
namespace CK_ISA {

template <class T>
struct MathOf;
template <>
struct MathOf<float> {
  static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float lowest = -104, highest = 89, expm1_lowest = -30, tanh_highest = 10, normal_highest = 14.1f;
  static constexpr int32_t bias = 127, mantissa = 23, high_bits = -4096;
  static constexpr float q[] = {0.5f, 0.166666672f, 0.0416664556f, 0.00833331048f, 0.00139345415f, 0.000198919806f};
  static constexpr float l[] = {0.333333343f, 0.199998468f, 0.142965227f, 0.108475097f, 0.116418421f};
  static constexpr float e[] = {1.07400692f,    -0.88339448f,    0.590228438f,   -0.310466647f,    0.119527332f,
                                -0.0268362164f, -0.00121688913f, 0.00307705789f, -0.000500258757f, -0.000334224402f};
};
template <>
struct MathOf<double> {
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  static constexpr double lowest = -746, highest = 710, expm1_lowest = -60, tanh_highest = 20, normal_highest = 38;
  static constexpr int64_t bias = 1023, mantissa = 52, high_bits = -134217728;
  static constexpr double q[] = {0.5,
                                 0.1666666666666667,
                                 0.04166666666666667,
                                 0.008333333333325544,
                                 0.0013888888888883327,
                                 0.00019841269876864356,
                                 2.4801587327007187e-05,
                                 2.755725283351691e-06,
                                 2.75572718102198e-07,
                                 2.5106274733573296e-08,
                                 2.0915442297780116e-09};
  static constexpr double l[] = {0.3333333333333333,  0.19999999999999735, 0.14285714285808662, 0.11111111098045287,
                                 0.09090910016446695, 0.0769226955962279,  0.06667642031321834, 0.058664326101330294,
                                 0.0542829682232303,  0.03720642090315646, 0.07863300921251588};
  static constexpr double e[] = {
      1.0740069070883398,      -0.8833944531698837,    0.5902283571041007,     -0.3104672619005538,
      0.11952776128737143,     -0.02682723462492517,   -0.00121241662936307,   0.0030340620077886123,
      -0.000548309663144011,   -0.0002767778984323993, 0.0001075612702659246,  3.039839957518172e-05,
      -1.7469568620774725e-05, -4.749835794572455e-06, 2.762495446091886e-06,  9.996563629058999e-07,
      -4.026706871716185e-07,  -2.334380505942334e-07, 4.019188893536195e-08,  4.902631771667328e-08,
      2.4973227668752545e-09,  -6.459032159942696e-09, -1.6395485480678698e-09};
};

template <class T, size_t N>
CK_INLINE Vector<T> polynomial(Vector<T> x, const T (&c)[N]) {
  Vector<T> sum = splat<T>(c[N - 1]);
  CK_UNROLL
  for (int i = static_cast<int>(N) - 2; i >= 0; --i) sum = sum * x + c[i];
  return sum;
}

// x = n ln2 + r.
template <class T>
struct Reduced {
  using I = typename VectorOf<T>::index;
  Vector<T> r;
  I n;
  CK_INLINE explicit Reduced(Vector<T> x) {
    using M = MathOf<T>;
    const Vector<T> t = x * T(1.44269504088896340736) + M::magic, whole = t - M::magic;
    r = (x - whole * M::ln2_high) - whole * M::ln2_low;
    n = reinterpret_cast<I>(t) - reinterpret_cast<I>(splat<T>(M::magic));
  }
  static CK_INLINE Vector<T> power(I n) {
    return reinterpret_cast<Vector<T>>((n + MathOf<T>::bias) << MathOf<T>::mantissa);
  }
};

// exp(x + low), low small beside x.
template <class T>
CK_INLINE Vector<T> exponential(Vector<T> x, Vector<T> low = Vector<T>{}) {
  using M = MathOf<T>;
  const Reduced<T> d(clamp<T>(x, splat<T>(M::lowest), splat<T>(M::highest)));
  const Vector<T> r = d.r + low, p = r + r * r * polynomial<T>(r, M::q);
  const auto half = d.n >> 1;  // 2^n in two factors, each of which is a normal number
  return (p + T(1)) * Reduced<T>::power(half) * Reduced<T>::power(d.n - half);
}

// exp(x) - 1 for x below 60.
template <class T>
CK_INLINE Vector<T> exponential_minus_1(Vector<T> x) {
  using M = MathOf<T>;
  const Reduced<T> d(clamp<T>(x, splat<T>(M::expm1_lowest), splat<T>(T(60))));
  const Vector<T> p = d.r + d.r * d.r * polynomial<T>(d.r, M::q), power = Reduced<T>::power(d.n);
  return p * power + (power - T(1));
}

// log(1 + u) for u in [0, 1].
template <class T>
CK_INLINE Vector<T> logarithm_of_1_plus(Vector<T> u) {
  const Vector<T> s = u / (u + T(2)), v = s * s;
  return T(2) * (s + s * v * polynomial<T>(v, MathOf<T>::l));
}

template <class T>
CK_INLINE Vector<T> absolute(Vector<T> x) {
  return x < T(0) ? -x : x;
}

template <class T>
CK_INLINE Vector<T> hyperbolic_tangent(Vector<T> x) {
  const Vector<T> highest = splat<T>(MathOf<T>::tanh_highest), z = absolute<T>(x);
  const Vector<T> e = exponential_minus_1<T>(T(2) * (z > highest ? highest : z)), y = e / (e + T(2));
  return x < T(0) ? -y : y;
}

template <class T>
CK_INLINE Vector<T> sigmoid_of(Vector<T> x) {
  return T(1) / (T(1) + exponential<T>(-x));
}

// P(X <= x) of a standard normal X, and exp(-x^2 / 2).
template <class T>
struct Normal {
  Vector<T> below, bell;
  CK_INLINE explicit Normal(Vector<T> x) {
    using M = MathOf<T>;
    using I = typename VectorOf<T>::index;
    const Vector<T> highest = splat<T>(M::normal_highest);
    Vector<T> z = absolute<T>(x);
    z = z > highest ? highest : z;
    // The square in two parts, the first of them exact: exp would magnify its rounding.
    const Vector<T> high = reinterpret_cast<Vector<T>>(reinterpret_cast<I>(z) & M::high_bits);
    bell = exponential<T>(T(-0.5) * high * high, T(-0.5) * (z - high) * (z + high));
    const Vector<T> s = z * T(0.70710678118654752440), t = T(1) / (s + T(3));
    const Vector<T> tail = T(0.5) * bell * t * polynomial<T>((s - T(3)) * t, M::e);
    below = x < T(0) ? tail : T(1) - tail;
  }
};

}  // namespace CK_ISA
}  // namespace convkern
