// Local response normalisation of rows of lanes, `size` neighbours being `pitch` apart in the scratch:
//   d = k + alpha sum_j x^2[j],  p = d^-beta,  out = x p;     the gradient of that: g p - 2 alpha beta x sum_j (g x p /
//   d)[-j]
// Squares are summed window by window: a running sum would carry NaN and rounding on to windows without them. Does not
// know whether a row is a channel of many pixels or a pixel of many channels.
#pragma once

#include "kernels/power.h"

namespace convkern {
namespace CK_ISA {

template <class T>
void response(const ResponseJob<T>& job) {
  const auto sum = [&](const T* around, int64_t before) __attribute__((always_inline)) {
    around -= before * job.pitch;
    Vector<T> total = load<T>(around);
    for (int64_t j = 1; j < job.size; ++j) total += load<T>(around + j * job.pitch);
    return total;
  };
  // f(place in the arrays, place in the scratch, load, store)
  const auto each = [&](auto&& f) __attribute__((always_inline)) {
    for (int64_t r = 0; r < job.rows; ++r)
      each_vector<T>(job.width,
                     [&](int64_t i, auto get, auto put) { f(r * job.step + i, r * job.scratch_step + i, get, put); });
  };
  each([&](int64_t at, int64_t to, auto get, auto put) {
    const Vector<T> x = get(job.x + at);
    put(job.squares + to, x * x);
  });
  if (!job.g) {
    each([&](int64_t at, int64_t to, auto get, auto put) {
      const Vector<T> d = job.k + job.alpha * sum(job.squares + to, job.before);
      put(job.out + at, get(job.x + at) * positive_power<T>(d, -job.beta));
    });
    return;
  }
  each([&](int64_t at, int64_t to, auto get, auto put) {
    const Vector<T> d = job.k + job.alpha * sum(job.squares + to, job.before);
    const Vector<T> scaled = get(job.g + at) * positive_power<T>(d, -job.beta);
    put(job.scaled + to, scaled);
    put(job.inner + to, scaled * get(job.x + at) / d);
  });
  each([&](int64_t at, int64_t to, auto get, auto put) {
    const Vector<T> total = sum(job.inner + to, job.size - 1 - job.before);
    put(job.out + at, load<T>(job.scaled + to) - T(2) * job.alpha * job.beta * get(job.x + at) * total);
  });
}

}  // namespace CK_ISA
}  // namespace convkern
