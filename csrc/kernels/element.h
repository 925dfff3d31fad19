// Functions of single elements and of channels: activations with their gradients, scale and shift, sums, softmax.
//   out[i] = f(x[i]);   out[i] = grad[i] f'(source[i]);   out[r][i] = x a + g b + d;   s = sum t, sum t (x - m)
// out may be any of the inputs. The last, partial vector goes through a copy, so that every element is computed alike
// wherever it lies. Does not know threads or layouts.
#pragma once

#include <math.h>

#include "kernels/table.h"
#include "kernels/vector_math.h"

namespace convkern {
namespace CK_ISA {

template <class T>
CK_INLINE Vector<T> load_some(const T* from, int64_t count, T rest = T(0)) {
  Vector<T> v = splat<T>(rest);
  __builtin_memcpy(&v, from, static_cast<size_t>(count) * sizeof(T));
  return v;
}
template <class T>
CK_INLINE void store_some(T* to, Vector<T> v, int64_t count) {
  __builtin_memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
}

// f(i, load, store) for the vectors of [0, count); load(pointer) and store(pointer, vector) are of that vector's width.
template <class T, class F>
CK_INLINE void each_vector(int64_t count, F&& f) {
  constexpr int w = lanes<T>;
  int64_t i = 0;
  for (; i + w <= count; i += w) f(i, [](const T* p) { return load<T>(p); }, [](T* p, Vector<T> v) { store<T>(p, v); });
  const int64_t rest = count - i;
  if (rest > 0)
    f(i, [=](const T* p) { return load_some<T>(p, rest); }, [=](T* p, Vector<T> v) { store_some<T>(p, v, rest); });
}

template <class T, Unary Op>
CK_INLINE Vector<T> value_of(Vector<T> x, T a, T b) {
  const Vector<T> zero = {};
  if constexpr (Op == Unary::relu) return x < zero ? zero : x;
  if constexpr (Op == Unary::relu6) return clamp<T>(x, zero, splat<T>(6));
  if constexpr (Op == Unary::leaky_relu) return x > zero ? x : x * a;
  if constexpr (Op == Unary::elu) return b * (x > zero ? x : a * exponential_minus_1<T>(x));
  if constexpr (Op == Unary::gelu) return x * Normal<T>(x).below;
  if constexpr (Op == Unary::gelu_tanh)
    return x * sigmoid_of<T>(T(1.59576912160573071176) * (x + T(0.044715) * x * x * x));
  if constexpr (Op == Unary::silu) return x / (T(1) + exponential<T>(-x));
  if constexpr (Op == Unary::hardswish) return x * clamp<T>(x + T(3), zero, splat<T>(6)) / T(6);
  if constexpr (Op == Unary::sigmoid) return sigmoid_of<T>(x);
  if constexpr (Op == Unary::tanh) return hyperbolic_tangent<T>(x);
  if constexpr (Op == Unary::softplus) {
    const Vector<T> z = x * a;
    const Vector<T> y = ((z < zero ? zero : z) + logarithm_of_1_plus<T>(exponential<T>(-absolute<T>(z)))) / a;
    return z > b ? x : y;
  }
}

template <class T, Unary Op>
CK_INLINE Vector<T> slope_of(Vector<T> x, Vector<T> g, T a, T b) {
  const Vector<T> zero = {};
  if constexpr (Op == Unary::relu) return x <= zero ? zero : g;
  if constexpr (Op == Unary::relu6) return ((x <= zero) | (x >= T(6))) ? zero : g;
  if constexpr (Op == Unary::leaky_relu) return x > zero ? g : g * a;
  if constexpr (Op == Unary::elu) return b * g * (x > zero ? splat<T>(1) : a * exponential<T>(x));
  if constexpr (Op == Unary::gelu) {
    const Normal<T> n(x);
    return g * (n.below + x * n.bell * T(0.39894228040143267794));
  }
  if constexpr (Op == Unary::gelu_tanh) {
    const Vector<T> s = sigmoid_of<T>(T(1.59576912160573071176) * (x + T(0.044715) * x * x * x));
    return g * s * (T(1) + x * (T(1) - s) * T(1.59576912160573071176) * (T(1) + T(0.134145) * x * x));
  }
  if constexpr (Op == Unary::silu) {
    const Vector<T> s = sigmoid_of<T>(x);
    return g * s * (T(1) + x * (T(1) - s));
  }
  if constexpr (Op == Unary::hardswish) return x <= T(-3) ? zero : x >= T(3) ? g : g * (x / T(3) + T(0.5));
  if constexpr (Op == Unary::sigmoid) return g * x * (T(1) - x);
  if constexpr (Op == Unary::tanh) return g * (T(1) - x * x);
  if constexpr (Op == Unary::softplus) {
    const Vector<T> z = x * a;
    return z > b ? g : g * sigmoid_of<T>(z);
  }
}

template <class T, Unary Op>
void unary_forward(const T* x, T* out, int64_t count, T a, T b) {
  each_vector<T>(count, [&](int64_t i, auto get, auto put) { put(out + i, value_of<T, Op>(get(x + i), a, b)); });
}

template <class T, Unary Op>
void unary_gradient(const T* grad, const T* source, T* out, int64_t count, T a, T b) {
  each_vector<T>(count, [&](int64_t i, auto get, auto put) {
    put(out + i, slope_of<T, Op>(get(source + i), get(grad + i), a, b));
  });
}

template <class T>
void affine(const T* x, const T* g, T* out, int64_t rows, int64_t width, bool per_lane, const T* a, const T* b,
            const T* d) {
  for (int64_t r = 0; r < rows; ++r, x += width, out += width) {
    const T* more = g ? g + r * width : nullptr;
    each_vector<T>(width, [&](int64_t i, auto get, auto put) {
      const auto setting = [&](const T* from) { return per_lane ? get(from + i) : splat<T>(*from); };
      Vector<T> y = get(x + i) * setting(a) + setting(d);
      if (more) y += get(more + i) * setting(b);
      put(out + i, y);
    });
  }
}

template <class T>
void prelu(const T* x, const T* g, T* out, int64_t rows, int64_t width, bool per_lane, const T* a) {
  for (int64_t r = 0; r < rows; ++r, x += width, out += width) {
    const T* grad = g ? g + r * width : nullptr;
    each_vector<T>(width, [&](int64_t i, auto get, auto put) {
      const Vector<T> v = get(x + i), slope = per_lane ? get(a + i) : splat<T>(*a), y = grad ? get(grad + i) : v;
      put(out + i, v > T(0) ? y : y * slope);
    });
  }
}

inline constexpr int64_t sums_in_part = 64;  // summed in the elements' precision before they are added in double

template <class T>
void moments(const T* x, const T* g, int64_t rows, int64_t width, bool per_lane, const T* m, double* s0, double* s1) {
  constexpr int w = lanes<T>;
  const int64_t step = per_lane ? width : w, whole = per_lane ? width / w * w : w;
  const int64_t steps = per_lane ? rows : rows * width / w;
  const auto add_up = [&](Vector<T> a, Vector<T> b, int64_t i) {
    for (int l = 0; l < w; ++l) {
      s0[per_lane ? i + l : 0] += static_cast<double>(a[l]);
      s1[per_lane ? i + l : 0] += static_cast<double>(b[l]);
    }
  };
  for (int64_t part = 0; part < steps; part += sums_in_part) {
    const int64_t end = part + sums_in_part < steps ? part + sums_in_part : steps;
    for (int64_t i = 0; i < whole; i += w) {
      const Vector<T> mean = per_lane ? load<T>(m + i) : splat<T>(*m);
      Vector<T> a = {}, b = {};
      for (int64_t r = part; r < end; ++r) {
        const Vector<T> centred = load<T>(x + r * step + i) - mean, t = g ? load<T>(g + r * step + i) : centred;
        a += t;
        b += t * centred;
      }
      add_up(a, b, i);
    }
  }
  const auto one = [&](int64_t at, int64_t lane) {
    const T centred = x[at] - m[lane], t = g ? g[at] : centred;
    s0[lane] += static_cast<double>(t);
    s1[lane] += static_cast<double>(t * centred);
  };
  if (per_lane) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = whole; i < width; ++i) one(r * width + i, i);
  } else {
    for (int64_t i = steps * w; i < rows * width; ++i) one(i, 0);
  }
}

}  // namespace CK_ISA
}  // namespace convkern
