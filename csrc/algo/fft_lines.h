// The factors that the transforms of one tile size multiply with (kernels/fft.h), from roots of unity in long double.
//   columns  n_y complex numbers that stand for 2 n_y real ones:  modulo t^n_y - i
//   rows     n_x complex numbers:  modulo t^n_x - 1; or, where the columns and rows make one long line, modulo
//            t^n_x - c with the c that the column transform left in this lane
// Knows neither images nor threads.
#pragma once

#include <math.h>

#include <vector>

#include "core/plan.h"

namespace convkern {

// exp(2 pi i k / order) from two short tables, so that long lines cost few sines.
class Roots {
 public:
  explicit Roots(int64_t order) : order_(order), shift_(0) {
    while ((int64_t{1} << 2 * shift_) < order) ++shift_;
    const int64_t fine = int64_t{1} << shift_;
    for (int64_t k = 0; k < fine; ++k) fine_.push_back(root(k));
    for (int64_t k = 0; k * fine < order; ++k) coarse_.push_back(root(k * fine));
  }
  int64_t order() const { return order_; }
  template <class T>
  void get(int64_t k, T* re, T* im) const {
    k %= order_;
    const Number &a = coarse_[k >> shift_], &b = fine_[k & ((int64_t{1} << shift_) - 1)];
    *re = static_cast<T>(a.re * b.re - a.im * b.im);
    *im = static_cast<T>(a.re * b.im + a.im * b.re);
  }

 private:
  struct Number {
    long double re, im;
  };
  Number root(int64_t k) const {
    constexpr long double turn = 6.283185307179586476925286766559005768L;
    // The nearest quarter turn is taken out first, so that the sine of a small angle keeps all its digits.
    const int64_t quarter = (4 * k + order_ / 2) / order_;
    const long double angle =
        turn * static_cast<long double>(4 * k - quarter * order_) / (4 * static_cast<long double>(order_));
    const long double c = cosl(angle), s = sinl(angle);
    switch (quarter % 4) {
      case 0:
        return {c, s};
      case 1:
        return {-s, c};
      case 2:
        return {-c, -s};
      default:
        return {s, -c};
    }
  }
  int64_t order_;
  int shift_;
  std::vector<Number> fine_, coarse_;
};

// Radices of a length 2^a 3^b 5^c, 4 last, where the product with a kernel is done; 0 passes for other lengths.
template <class T>
void set_passes(FftLine<T>& line, int64_t n) {
  line.n = n;
  line.lines = 1;
  line.passes = 0;
  const auto divide = [&](int r) { line.radix[line.passes++] = r, n /= r; };
  for (const int r : {5, 3})
    while (n % r == 0 && line.passes < max_fft_passes) divide(r);
  if (n > 1 && __builtin_ctzll(static_cast<unsigned long long>(n)) % 2) divide(2);
  while (n % 4 == 0 && line.passes < max_fft_passes) divide(4);
  if (n != 1) line.passes = 0;
}

// Calls f(re, im) for a line's factors in the order of its passes, c = exp(2 pi i angle / order), order = roots.order()
// being a multiple of n; returns the angles of the roots of t^n = c in the order of the transform, each of `order`.
template <class T, class F>
std::vector<int64_t> each_factor(const FftLine<T>& line, const Roots& roots, int64_t angle, F&& f) {
  const int64_t order = roots.order();
  std::vector<int64_t> angles = {angle}, next;
  for (int i = 0; i < line.passes; ++i) {
    const int r = line.radix[i];
    next.clear();
    for (const int64_t a : angles) {
      T re, im;
      for (int k = 1; k < r; ++k) {
        roots.get(a / r * k, &re, &im);
        f(re, im);
      }
      for (int m = 0; m < r; ++m) next.push_back((a + m * order) / r);
    }
    angles.swap(next);
  }
  return angles;
}

// Both lines of a tile of n_y x n_x complex numbers and their factors.
template <class T>
class FftTables {
 public:
  // Allocates; throws std::bad_alloc.
  FftTables(int64_t ny, int64_t nx, bool one_line, int lanes) : columns_{}, rows_{} {
    set_passes(columns_, ny);
    set_passes(rows_, nx);
    columns_.per_lane = false;
    rows_.per_lane = one_line;
    const int64_t width = one_line ? lanes : 1;
    group_ = one_line ? 2 * (nx - 1) * lanes : 0;
    if (!memory_.allocate((2 * (ny - 1) + (one_line ? ny / lanes * group_ : 2 * (nx - 1))) * int64_t{sizeof(T)}))
      throw std::bad_alloc();
    T* to = reinterpret_cast<T*>(memory_.data);
    columns_.factors = to;
    // t^n_y = exp(2 pi i / 4): angles in parts of `order`, n_y times too fine so that they stay whole when divided.
    const Roots roots(4 * ny * (one_line ? nx : 1));
    const std::vector<int64_t> angles = each_factor(columns_, roots, roots.order() / 4, [&](T re, T im) {
      *to++ = re;
      *to++ = im;
    });
    rows_.factors = to;
    if (one_line) {
      for (int64_t i = 0; i < ny; ++i) {
        T* lane = to + i / lanes * group_ + i % lanes;
        each_factor(rows_, roots, angles[i], [&](T re, T im) {
          lane[0] = re;
          lane[width] = im;
          lane += 2 * width;
        });
      }
    } else {
      each_factor(rows_, Roots(nx), 0, [&](T re, T im) {
        *to++ = re;
        *to++ = im;
      });
    }
  }
  // `lines` vectors of columns side by side.
  FftLine<T> columns(int64_t lines) const {
    FftLine<T> line = columns_;
    line.lines = lines;
    return line;
  }
  FftLine<T> rows(int64_t group) const {
    FftLine<T> line = rows_;
    line.factors += group * group_;
    return line;
  }
  int64_t bytes() const { return memory_.bytes; }

 private:
  FftLine<T> columns_, rows_;
  int64_t group_;
  Buffer memory_;
};

}  // namespace convkern
