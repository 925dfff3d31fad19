// Softmax along one axis, and its gradient:   y = exp(x - m) / s,  s = sum exp(x - m),  m = max x;   log y = x - m -
// log s
//   dx = y (g - sum g y);   of the logarithm  dx = g - exp(y) sum g
// Either along contiguous elements, lanes of one vector being parts of the sum, or across neighbouring columns, a
// column a lane. out may be an input. Does not know threads or layouts.
#pragma once

#include "kernels/element.h"
#include "kernels/response.h"

namespace convkern {
namespace CK_ISA {

template <class T>
CK_INLINE Vector<T> larger(Vector<T> a, Vector<T> b) {
  return b > a ? b : a;
}

template <class T>
CK_INLINE T sum_of(Vector<T> v) {
  T sum = v[0];
  for (int l = 1; l < lanes<T>; ++l) sum += v[l];
  return sum;
}

// A sum in parts: of `part` terms first, of these then.
template <class T>
struct Sum {
  Vector<T> total = {}, part = {};
  int terms = 0;
  CK_INLINE void add(Vector<T> v) {
    part += v;
    if (++terms < 64) return;
    total += part;
    part = Vector<T>{};
    terms = 0;
  }
  CK_INLINE Vector<T> value() const { return total + part; }
};

template <class T>
CK_INLINE Vector<T> logarithm_of(Vector<T> v) {
  for (int l = 0; l < lanes<T>; ++l) v[l] = static_cast<T>(::log(static_cast<double>(v[l])));
  return v;
}

template <class T>
void softmax_line(const T* x, T* out, int64_t count, bool logarithm) {
  constexpr int w = lanes<T>;
  const T least = -static_cast<T>(__builtin_inf());
  const int64_t whole = count / w * w, rest = count - whole;
  const auto get = [&](int64_t i) { return i < whole ? load<T>(x + i) : load_some<T>(x + i, rest, least); };
  Vector<T> most = splat<T>(least);
  for (int64_t i = 0; i < count; i += w) most = larger<T>(most, get(i));
  T m = most[0];
  for (int l = 1; l < w; ++l) m = most[l] > m ? static_cast<T>(most[l]) : m;
  Sum<T> sum;
  for (int64_t i = 0; i < count; i += w) {
    const Vector<T> e = exponential<T>(get(i) - m);
    sum.add(e);
    if (logarithm) continue;
    if (i < whole)
      store<T>(out + i, e);
    else
      store_some<T>(out + i, e, rest);
  }
  const T s = sum_of<T>(sum.value());
  const T shift = logarithm ? static_cast<T>(::log(static_cast<double>(s))) : T(0), scale = T(1) / s;
  each_vector<T>(count, [&](int64_t i, auto from, auto put) {
    put(out + i, logarithm ? (from(x + i) - m) - shift : from(out + i) * scale);
  });
}

template <class T>
void softmax_columns(const T* x, T* out, int64_t count, ptrdiff_t step, int64_t width, bool logarithm) {
  each_vector<T>(width, [&](int64_t i, auto get, auto put) {
    Vector<T> m = get(x + i);
    for (int64_t k = 1; k < count; ++k) m = larger<T>(m, get(x + k * step + i));
    Sum<T> sum;
    for (int64_t k = 0; k < count; ++k) {
      const Vector<T> e = exponential<T>(get(x + k * step + i) - m);
      sum.add(e);
      if (!logarithm) put(out + k * step + i, e);
    }
    const Vector<T> s = sum.value(), shift = logarithm ? logarithm_of<T>(s) : s, scale = T(1) / s;
    for (int64_t k = 0; k < count; ++k)
      put(out + k * step + i, logarithm ? (get(x + k * step + i) - m) - shift : get(out + k * step + i) * scale);
  });
}

template <class T>
void softmax(const T* x, T* out, int64_t count, ptrdiff_t step, int64_t width, bool logarithm) {
  if (step == 1)
    softmax_line<T>(x, out, count, logarithm);
  else
    softmax_columns<T>(x, out, count, step, width, logarithm);
}

template <class T>
void softmax_gradient(const T* grad, const T* y, T* out, int64_t count, ptrdiff_t step, int64_t width, bool logarithm) {
  const auto result = [&](Vector<T> g, Vector<T> v, Vector<T> s) {
    return logarithm ? g - exponential<T>(v) * s : v * (g - s);
  };
  if (step == 1) {
    Sum<T> sum;
    each_vector<T>(count,
                   [&](int64_t i, auto get, auto) { sum.add(logarithm ? get(grad + i) : get(grad + i) * get(y + i)); });
    const Vector<T> s = splat<T>(sum_of<T>(sum.value()));
    each_vector<T>(count, [&](int64_t i, auto get, auto put) { put(out + i, result(get(grad + i), get(y + i), s)); });
    return;
  }
  each_vector<T>(width, [&](int64_t i, auto get, auto put) {
    Sum<T> sum;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = k * step + i;
      sum.add(logarithm ? get(grad + at) : get(grad + at) * get(y + at));
    }
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = k * step + i;
      put(out + at, result(get(grad + at), get(y + at), sum.value()));
    }
  });
}

template <class T, Unary... Op>
constexpr void set_unary(ElementKernels<T>& table) {
  ((table.forward[static_cast<int>(Op)] = unary_forward<T, Op>), ...);
  ((table.gradient[static_cast<int>(Op)] = unary_gradient<T, Op>), ...);
}

template <class T>
constexpr ElementKernels<T> make_element_kernels() {
  ElementKernels<T> table{};
  set_unary<T, Unary::relu, Unary::relu6, Unary::leaky_relu, Unary::elu, Unary::gelu, Unary::gelu_tanh, Unary::silu,
            Unary::hardswish, Unary::sigmoid, Unary::tanh, Unary::softplus>(table);
  table.affine = affine<T>;
  table.prelu = prelu<T>;
  table.moments = moments<T>;
  table.softmax = softmax<T>;
  table.softmax_gradient = softmax_gradient<T>;
  table.power = power<T>;
  table.response = response<T>;
  return table;
}

}  // namespace CK_ISA
}  // namespace convkern
