// What the pooling drivers share: runs of like windows along an axis, where a window's sum is divided, and the lists
// of taps of a line. Knows no layout and no ISA.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"

namespace convkern {

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Outputs [begin, end) whose windows have equally many taps, one divisor, and begin `step` apart.
struct Run {
  int64_t begin, end, step;
};

inline std::vector<Run> runs_of(const ck_pool_axis& a) {
  std::vector<Run> runs;
  for (int64_t o = 0; o < a.out;) {
    Run run{o, o + 1, 0};
    const auto alike = [&](int64_t i) {
      return a.count[i] == a.count[o] && (!a.divisor || a.divisor[i] == a.divisor[o]);
    };
    if (run.end < a.out && alike(run.end)) {
      run.step = a.first[run.end] - a.first[o];
      do ++run.end;
      while (run.end < a.out && alike(run.end) && a.first[run.end] - a.first[run.end - 1] == run.step);
    }
    runs.push_back(run);
    o = run.end;
  }
  return runs;
}

inline int64_t most_taps(const ck_pool_axis& a) { return a.out ? *std::max_element(a.count, a.count + a.out) : 0; }

template <class T>
struct Ending {
  Finish finish;
  T factor;
};

// A quotient by a power of two is the product with its exact reciprocal.
template <class T>
Ending<T> division_by(double divisor) {
  int exponent;
  const bool exact = std::frexp(divisor, &exponent) == 0.5 && exponent > -100 && exponent < 100;
  if (exact) return {Finish::multiply, static_cast<T>(1 / divisor)};
  return {Finish::divide, static_cast<T>(divisor)};
}

inline double divisor_at(const ck_pool_axis& a, int64_t o) {
  return a.divisor ? static_cast<double>(a.divisor[o]) : 1.0;
}

inline bool one_divisor(const ck_pool_axis& a) {
  return !a.divisor || std::all_of(a.divisor, a.divisor + a.out, [&](int64_t d) { return d == a.divisor[0]; });
}

template <class T>
T identity_of(int op) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  return op == CK_POOL_MAX ? -infinity : op == CK_POOL_MIN ? infinity : T(0);
}

constexpr ptrdiff_t fetch_ahead = 4096;  // bytes

// Everything of one call that tasks read.
template <class T>
struct PoolCall {
  ck_pool pool;
  const Kernels<T>& kernels;
  const T* x;
  T* y;
  int64_t* indices;
  ptrdiff_t from[5], to[5];  // strides: n, c, z, y, x
  std::vector<Run> runs[CK_MAX_SPATIAL];
  ptrdiff_t ahead = 0;  // elements; images that no L2 holds are fetched before they are read

  PoolCall(const ck_pool& p, const Kernels<T>& k, const ck_array& in, const ck_array& out, int64_t* where)
      : pool(p), kernels(k), x(static_cast<const T*>(in.data)), y(static_cast<T*>(out.data)), indices(where) {
    std::copy(in.stride, in.stride + 5, from);
    std::copy(out.stride, out.stride + 5, to);
    for (int a = 0; a < CK_MAX_SPATIAL; ++a) runs[a] = runs_of(pool.axis[a]);
    const int64_t elements = pool.n * pool.c * axis(0).in * axis(1).in * axis(2).in;
    if (elements > cpu_info().l2 / static_cast<int64_t>(sizeof(T))) ahead = fetch_ahead / ptrdiff_t{sizeof(T)};
  }

  const ck_pool_axis& axis(int a) const { return pool.axis[a]; }
  bool adds() const { return pool.op == CK_POOL_ADD; }
  int64_t outputs() const { return axis(0).out * axis(1).out * axis(2).out; }

  // How sums of line (z, y) and output x end; with a table of the x axis's divisors, x is left out.
  Ending<T> ending(int64_t z, int64_t y_, int64_t x_) const {
    if (pool.divisor != 0) return division_by<T>(pool.divisor);
    return division_by<T>(divisor_at(axis(0), z) * divisor_at(axis(1), y_) * divisor_at(axis(2), x_));
  }
  // f(index of the image line in its plane, tap) for the taps of the output line (z, y) in order.
  template <class F>
  void each_line(int64_t z, int64_t y_, F&& f) const {
    const ck_pool_axis &az = axis(0), &ay = axis(1);
    int64_t tap = 0;
    for (int64_t i = 0; i < az.count[z]; ++i)
      for (int64_t j = 0; j < ay.count[y_]; ++j)
        f(az.first[z] + i * az.dilation, ay.first[y_] + j * ay.dilation, tap++);
  }
  // The first run's end and step that hold for outputs of axis a from `begin` on.
  Run run_at(int a, int64_t begin, int64_t end) const {
    for (const Run& run : runs[a])
      if (begin < run.end) return {begin, std::min(run.end, end), run.step};
    return {begin, end, 0};
  }
};

// Both return false where there is no memory for the scratch.
template <class T>
bool pool_channels_last(const PoolCall<T>& call);
template <class T>
bool pool_planes(const PoolCall<T>& call);

}  // namespace convkern
