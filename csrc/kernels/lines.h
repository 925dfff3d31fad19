// One-dimensional filters on lines, vectors along the line.
//   across:  out[m][x] = f(rows[m][x], ..., rows[m + size - 1][x])           the window runs over rows
//   along:   out[x]    = f(line[x], line[x + step], ..., line[x + (size - 1) step])
// f is a weighted sum, a running mean, a maximum or a minimum. Sums in double round every product and every sum, in
// the order in which scipy.ndimage adds: its results cut to integers are met exactly. Sums in float may fuse.
// Does not know borders, images nor the arrays' own element types beyond load and save.
#pragma once

#include "kernels/extremes.h"
#include "kernels/line_table.h"
#include "kernels/simd.h"

#if defined(__aarch64__)
#define CK_ROUNDED(v) __asm__("" : "+w"(v))
#else
#define CK_ROUNDED(v) __asm__("" : "+v"(v))
#endif

namespace convkern {
namespace CK_ISA {

// --- element types ---------------------------------------------------------------------------------------------------

template <class S, class A>
void load_line(const void* from, void* to, int64_t n) {
  const S* source = static_cast<const S*>(from);
  A* target = static_cast<A*>(to);
  for (int64_t i = 0; i < n; ++i) target[i] = static_cast<A>(source[i]);
}

// As a C compiler casts on x86-64: small integers wrap around, beyond 32 or 64 bits there is one value for all.
template <class T, class A>
CK_INLINE T cast_to(A x) {
  if constexpr (T(0.5) != T(0)) {
    return static_cast<T>(x);
  } else if constexpr (sizeof(T) < 4 || (sizeof(T) == 4 && T(-1) < T(0))) {
    return static_cast<T>(static_cast<int32_t>(x));
  } else if constexpr (sizeof(T) == 4 || T(-1) < T(0)) {
    return static_cast<T>(static_cast<int64_t>(x));
  } else {
    const A half = static_cast<A>(9223372036854775808.0);
    return x >= half ? static_cast<T>(static_cast<int64_t>(x - half)) ^ (T(1) << 63)
                     : static_cast<T>(static_cast<int64_t>(x));
  }
}

template <class T, class A>
void save_line(const void* from, void* to, int64_t n) {
  const A* source = static_cast<const A*>(from);
  T* target = static_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) target[i] = cast_to<T>(source[i]);
}

// --- weighted sums ---------------------------------------------------------------------------------------------------

template <class A, class V>
CK_INLINE V times(V x, V w) {
  V product = x * w;
  if constexpr (sizeof(A) == 8) CK_ROUNDED(product);
  return product;
}

// NV vectors of one output line. at(k): where tap k of the first lies. Symmetric windows (Symmetry 1, -1) add or
// subtract the taps of a pair first and begin with the centre, others begin with the last tap.
template <class A, int Symmetry, int NV, class At>
CK_INLINE void weigh(const LineOp& op, At at, A* out) {
  using V = Vector<A>;
  constexpr int w = lanes<A>;
  const A* weights = static_cast<const A*>(op.weights);
  const int64_t last = op.size - 1, start = Symmetry ? op.size / 2 : last;
  V sum[NV];
  {
    const A* x = at(start);
    const V k = splat<A>(weights[start]);
    CK_UNROLL
    for (int v = 0; v < NV; ++v) sum[v] = times<A>(load<A>(x + v * w), k);
  }
  CK_NO_UNROLL
  for (int64_t j = 0; j < start; ++j) {
    const V k = splat<A>(weights[j]);
    const A* x = at(j);
    if constexpr (Symmetry == 0) {
      CK_UNROLL
      for (int v = 0; v < NV; ++v) sum[v] += times<A>(load<A>(x + v * w), k);
    } else {
      const A* y = at(last - j);
      CK_UNROLL
      for (int v = 0; v < NV; ++v) {
        const V a = load<A>(x + v * w), b = load<A>(y + v * w);
        sum[v] += times<A>(Symmetry > 0 ? a + b : a - b, k);
      }
    }
  }
  CK_UNROLL
  for (int v = 0; v < NV; ++v) store<A>(out + v * w, sum[v]);
}

// The same for a single element, where a line is shorter than a vector.
template <class A, class At>
CK_INLINE void weigh_one(const LineOp& op, At at, A* out) {
  const A* weights = static_cast<const A*>(op.weights);
  const int64_t last = op.size - 1, start = op.symmetry ? op.size / 2 : last;
  Vector<A> sum = times<A>(splat<A>(*at(start)), splat<A>(weights[start]));
  for (int64_t j = 0; j < start; ++j) {
    Vector<A> x = splat<A>(*at(j));
    if (op.symmetry) {
      const Vector<A> y = splat<A>(*at(last - j));
      x = op.symmetry > 0 ? x + y : x - y;
    }
    sum += times<A>(x, splat<A>(weights[j]));
  }
  *out = sum[0];
}

template <class A, int Symmetry>
void correlate_across_as(const LineOp& op, const A* const* rows, int64_t outputs, A* const* out, int64_t n) {
  const auto at = [&](int64_t m, int64_t x) { return [=](int64_t k) { return rows[m + k] + x; }; };
  cover<4>(
      n, lanes<A>,
      [&](int64_t x, auto count) {
        for (int64_t m = 0; m < outputs; ++m) weigh<A, Symmetry, decltype(count)::value>(op, at(m, x), out[m] + x);
      },
      [&](int64_t x) {
        for (int64_t m = 0; m < outputs; ++m) weigh_one<A>(op, at(m, x), out[m] + x);
      });
}

template <class A, int Symmetry>
void correlate_along_as(const LineOp& op, const A* line, A* out, int64_t n) {
  const auto at = [&](int64_t x) { return [=](int64_t k) { return line + x + k * op.step; }; };
  cover<4>(
      n, lanes<A>, [&](int64_t x, auto count) { weigh<A, Symmetry, decltype(count)::value>(op, at(x), out + x); },
      [&](int64_t x) { weigh_one<A>(op, at(x), out + x); });
}

template <class A>
void correlate_across(const LineOp& op, const void* const* rows, int64_t outputs, void* const* out, int64_t n) {
  const auto run = op.symmetry == 0  ? correlate_across_as<A, 0>
                   : op.symmetry > 0 ? correlate_across_as<A, 1>
                                     : correlate_across_as<A, -1>;
  run(op, reinterpret_cast<const A* const*>(rows), outputs, reinterpret_cast<A* const*>(out), n);
}

template <class A>
void correlate_along(const LineOp& op, void* line, void* out, int64_t n) {
  const auto run = op.symmetry == 0  ? correlate_along_as<A, 0>
                   : op.symmetry > 0 ? correlate_along_as<A, 1>
                                     : correlate_along_as<A, -1>;
  run(op, static_cast<const A*>(line), static_cast<A*>(out), n);
}

// --- running means ---------------------------------------------------------------------------------------------------

// op.state: the sum of the window before the first output (null: this is where the lines begin), updated; rows[-1] is
// then the row that leaves it.
inline void mean_across(const LineOp& op, const void* const* given, int64_t outputs, void* const* results, int64_t n) {
  using V = Vector<double>;
  const double* const* rows = reinterpret_cast<const double* const*>(given);
  double* const* out = reinterpret_cast<double* const*>(results);
  double* state = static_cast<double*>(op.state);
  const V size = splat<double>(static_cast<double>(op.size));
  const auto run = [&](int64_t x, auto read, auto write) {
    V sum{};
    int64_t m = 0;
    if (op.begun) {
      sum = read(state + x);
    } else {
      for (int64_t k = 0; k < op.size; ++k) sum += read(rows[k] + x);
      write(out[0] + x, sum / size);
      m = 1;
    }
    for (; m < outputs; ++m) {
      sum += read(rows[m + op.size - 1] + x) - read(rows[m - 1] + x);
      write(out[m] + x, sum / size);
    }
    write(state + x, sum);
  };
  int64_t x = 0;
  constexpr int w = lanes<double>;
  for (; x + w <= n; x += w)
    run(x, [](const double* p) { return load<double>(p); }, [](double* p, V v) { store<double>(p, v); });
  for (; x < n; ++x) run(x, [](const double* p) { return splat<double>(*p); }, [](double* p, V v) { *p = v[0]; });
}

inline void mean_along(const LineOp& op, void* given, void* result, int64_t n) {
  const double* line = static_cast<const double*>(given);
  double* out = static_cast<double*>(result);
  const int64_t step = op.step, window = op.size * step;
  for (int64_t x = 0; x < step && x < n; ++x) {
    double sum = 0;
    for (int64_t k = 0; k < window; k += step) sum += line[x + k];
    out[x] = sum;
  }
  if (step == 1) {
    double sum = n > 0 ? out[0] : 0;
    for (int64_t x = 1; x < n; ++x) out[x] = sum += line[x + window - 1] - line[x - 1];
  } else {
    for (int64_t x = step; x < n; ++x) out[x] = out[x - step] + (line[x + window - step] - line[x - step]);
  }
  const double size = static_cast<double>(op.size);
  for (int64_t x = 0; x < n; ++x) out[x] /= size;
}

// --- windows of any shape --------------------------------------------------------------------------------------------

//   out[x] = sum_t base[offset[t] + x] * weight[t],   in the order of t, as in correlate above
template <class A>
void sum_taps(const TapOp& op, const void* base, void* out, int64_t n) {
  using V = Vector<A>;
  const A* from = static_cast<const A*>(base);
  const A* weights = static_cast<const A*>(op.weights);
  A* to = static_cast<A*>(out);
  constexpr int w = lanes<A>;
  cover<8>(
      n, w,
      [&](int64_t x, auto vectors) {
        constexpr int nv = decltype(vectors)::value;
        V sum[nv];
        CK_UNROLL
        for (int v = 0; v < nv; ++v) sum[v] = V{};
        CK_NO_UNROLL
        for (int64_t t = 0; t < op.taps; ++t) {
          const A* p = from + op.offset[t] + x;
          const V k = splat<A>(weights[t]);
          CK_UNROLL
          for (int v = 0; v < nv; ++v) sum[v] += times<A>(load<A>(p + v * w), k);
        }
        CK_UNROLL
        for (int v = 0; v < nv; ++v) store<A>(to + x + v * w, sum[v]);
      },
      [&](int64_t x) {
        V sum{};
        for (int64_t t = 0; t < op.taps; ++t) sum += times<A>(splat<A>(from[op.offset[t] + x]), splat<A>(weights[t]));
        to[x] = sum[0];
      });
}

// --- the table -------------------------------------------------------------------------------------------------------

template <class T>
constexpr void add_type(LineTable& table, LineType type) {
  const int i = static_cast<int>(type);
  table.load[0][i] = load_line<T, float>;
  table.load[1][i] = load_line<T, double>;
  table.save[0][i] = save_line<T, float>;
  table.save[1][i] = save_line<T, double>;
  table.extreme[i] = {extreme_across<T>, extreme_along<T>, extreme_taps<T>};
}

constexpr LineTable make_lines() {
  LineTable table{};
  table.correlate[0] = {correlate_across<float>, correlate_along<float>, sum_taps<float>};
  table.correlate[1] = {correlate_across<double>, correlate_along<double>, sum_taps<double>};
  table.has_nan[0] = has_nan<float>;
  table.has_nan[1] = has_nan<double>;
  table.mean = {mean_across, mean_along, nullptr};
  add_type<uint8_t>(table, LineType::u8);
  add_type<int8_t>(table, LineType::i8);
  add_type<uint16_t>(table, LineType::u16);
  add_type<int16_t>(table, LineType::i16);
  add_type<uint32_t>(table, LineType::u32);
  add_type<int32_t>(table, LineType::i32);
  add_type<uint64_t>(table, LineType::u64);
  add_type<int64_t>(table, LineType::i64);
  add_type<float>(table, LineType::f32);
  add_type<double>(table, LineType::f64);
  return table;
}

}  // namespace CK_ISA
}  // namespace convkern
