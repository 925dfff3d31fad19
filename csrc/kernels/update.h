// One step of an optimizer, in one pass over memory. With v velocity, m mean, s mean square, g' = g + decay p:
//   sgd      v = momentum v + g';  p -= rate v,  or rate (g' + momentum v) of Nesterov, or rate g' without momentum
//   adam     m = beta1 m + (1 - beta1) g';  s = beta2 s + (1 - beta2) g'^2;  p = keep p - rate m / (root sqrt s + eps)
//   rmsprop  s = alpha s + (1 - alpha) g'^2;  t = g' / (sqrt s + eps);  v = momentum v + t;  p -= rate v, or rate t
// The last, partial vector takes the same instructions (each_vector), so no bit depends on where an element lies.
#pragma once

#include <math.h>

#include "kernels/element.h"
#include "kernels/tap.h"
#include "kernels/update_table.h"

namespace convkern {
namespace CK_ISA {

template <class T>
CK_INLINE Vector<T> root_of(Vector<T> x) {
  Vector<T> y;
  CK_UNROLL
  for (int l = 0; l < lanes<T>; ++l) {
    if constexpr (sizeof(T) == 4)
      y[l] = __builtin_sqrtf(x[l]);
    else
      y[l] = __builtin_sqrt(x[l]);
  }
  return y;
}

template <class T, Rule R>
void update(const UpdateSettings<T>& given, T* p, const T* g, T* const* state, int64_t count) {
  const UpdateSettings<T> s = given;  // a copy that no store can change
  T *first = state[0], *second = state[1];
  each_vector<T>(count, [&](int64_t i, auto get, auto put) {
    Vector<T> value = get(p + i), slope = get(g + i);
    if constexpr (R == Rule::adam) value *= s.keep;
    if (s.decay != T(0)) slope += value * s.decay;
    if constexpr (R == Rule::sgd) {
      if (first) {
        const Vector<T> velocity = get(first + i) * s.momentum + slope;
        put(first + i, velocity);
        slope = s.nesterov ? slope + velocity * s.momentum : velocity;
      }
      value -= slope * s.rate;
    }
    if constexpr (R == Rule::adam) {
      const Vector<T> mean = get(first + i) * s.momentum + slope * s.gain;
      const Vector<T> square = get(second + i) * s.fade + slope * slope * s.add;
      put(first + i, mean);
      put(second + i, square);
      value -= s.rate * (mean / (root_of<T>(square) * s.root + s.eps));
    }
    if constexpr (R == Rule::rmsprop) {
      const Vector<T> square = get(first + i) * s.fade + slope * slope * s.add;
      put(first + i, square);
      Vector<T> step = slope / (root_of<T>(square) + s.eps);
      if (second) {
        step += get(second + i) * s.momentum;
        put(second + i, step);
      }
      value -= step * s.rate;
    }
    put(p + i, value);
  });
}

template <class T>
double sum_of_squares(const T* g, int64_t count) {
  constexpr int w = lanes<double>, n = 4;  // independent sums, to hide the latency of an addition
  Vector<double> sums[n] = {};
  int64_t i = 0;
  for (; i + n * w <= count; i += n * w) {
    CK_UNROLL
    for (int k = 0; k < n; ++k) {
      const auto v = __builtin_convertvector(load_as<typename Short<T, w>::type>(g + i + k * w), Vector<double>);
      sums[k] += v * v;
    }
  }
  const Vector<double> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = 0;
  for (int l = 0; l < w; ++l) total += sum[l];
  for (; i < count; ++i) total += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  return total;
}

template <class T>
void scale(T* g, int64_t count, T factor) {
  each_vector<T>(count, [&](int64_t i, auto get, auto put) { put(g + i, get(g + i) * factor); });
}

template <class T>
void limit(T* g, int64_t count, T bound) {
  each_vector<T>(count, [&](int64_t i, auto get, auto put) {
    put(g + i, clamp<T>(get(g + i), splat<T>(-bound), splat<T>(bound)));
  });
}

template <class T>
constexpr UpdateKernels<T> make_update_kernels() {
  return {
      {update<T, Rule::sgd>, update<T, Rule::adam>, update<T, Rule::rmsprop>}, sum_of_squares<T>, scale<T>, limit<T>};
}

}  // namespace CK_ISA
}  // namespace convkern
