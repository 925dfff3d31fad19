// Arrays seen as channels, cut into pieces that are shared out to threads: scale and shift, and sums over each channel.
// What a piece computes, and in which order sums are added, depends on the shapes alone.
#pragma once

#include <algorithm>
#include <numeric>

#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/pool.h"

namespace convkern {

constexpr int64_t piece = 8192;  // elements a task takes at least

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int threads_for(int64_t elements) { return elements < 2 * piece ? 1 : num_threads(); }

// Pixels taken together where channels lie inside and would leave much of their last vector empty: their values lie as
// those of factor * c channels, and fill whole vectors. 1: channels are many or fill theirs.
inline int64_t folded(int64_t c, int64_t lanes) {
  return c % lanes == 0 || c >= 4 * lanes ? 1 : lanes / std::gcd(c, lanes);
}
constexpr int64_t most_folded = 4 * 16 * 16;  // values of folded pixels: fewer than 4 vectors' channels, 16 lanes

// Settings of c channels once for each of the folded pixels.
template <class T>
class Repeated {
 public:
  Repeated(const T* values, int64_t c, int64_t factor) : data_(factor > 1 && values ? several_ : values) {
    for (int64_t i = 0; data_ == several_ && i < factor * c; ++i) several_[i] = values[i % c];
  }
  operator const T*() const { return data_; }

 private:
  const T* data_;
  T several_[most_folded];
};

// f(offset of the piece, rows, width, first channel) over pieces that have one setting each, or one a lane.
template <class F>
void each_piece(const ck_channels& s, int64_t factor, F&& f) {
  const int64_t elements = s.n * s.c * s.inner;
  const int threads = threads_for(elements);
  if (s.channels_last) {
    const int64_t rows = s.n * s.inner / factor, rest = s.n * s.inner % factor, width = factor * s.c;
    const int64_t tasks = std::min<int64_t>({rows, divide_up(elements, piece), 8 * threads});
    parallel_for(tasks, threads, [&](int64_t task, int) {
      const int64_t begin = rows * task / tasks;
      f(begin * width, rows * (task + 1) / tasks - begin, width, int64_t{0});
    });
    if (rest) {
      const FlushDenormals flush;
      f(rows * width, rest, s.c, int64_t{0});
    }
  } else {
    const int64_t planes = s.n * s.c, tasks = std::min<int64_t>({planes, divide_up(elements, piece), 8 * threads});
    parallel_for(tasks, threads, [&](int64_t task, int) {
      for (int64_t i = planes * task / tasks; i < planes * (task + 1) / tasks; ++i)
        f(i * s.inner, int64_t{1}, s.inner, i % s.c);
    });
  }
}

// Per channel s0 = sum t and s1 = sum t (x - m), t = g or, where that is null, x - m.
template <class T>
ck_status moments(const Kernels<T>& kernels, const ck_channels& s, const T* x, const T* g, const T* m, double* s0,
                  double* s1) {
  std::fill(s0, s0 + s.c, 0.0);
  std::fill(s1, s1 + s.c, 0.0);
  const int64_t elements = s.n * s.c * s.inner;
  if (elements == 0) return CK_OK;
  const int threads = threads_for(elements);
  if (!s.channels_last) {
    const int64_t tasks = std::min<int64_t>(s.c, 8 * threads);
    parallel_for(tasks, threads, [&](int64_t task, int) {
      for (int64_t c = s.c * task / tasks; c < s.c * (task + 1) / tasks; ++c)
        for (int64_t n = 0; n < s.n; ++n) {
          const int64_t at = (n * s.c + c) * s.inner;
          kernels.element.moments(x + at, g ? g + at : nullptr, 1, s.inner, false, m + c, s0 + c, s1 + c);
        }
    });
    return CK_OK;
  }
  const int64_t factor = folded(s.c, kernels.lanes), width = factor * s.c;
  const Repeated<T> middle(m, s.c, factor);
  const int64_t rows = s.n * s.inner,
                parts = std::min<int64_t>(64, divide_up(rows, std::max<int64_t>(64, piece / s.c)));
  double* sums = scratch_of<double>(0, parts * 2 * width);
  if (!sums) return CK_OUT_OF_MEMORY;
  parallel_for(parts, threads, [&](int64_t part, int) {
    double* own = sums + part * 2 * width;
    std::fill(own, own + 2 * width, 0.0);
    const int64_t begin = rows * part / parts, count = rows * (part + 1) / parts - begin, whole = count / factor;
    const int64_t at = begin * s.c, rest = at + whole * width;
    kernels.element.moments(x + at, g ? g + at : nullptr, whole, width, true, middle, own, own + width);
    if (count % factor)
      kernels.element.moments(x + rest, g ? g + rest : nullptr, count % factor, s.c, true, m, own, own + width);
  });
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t i = 0; i < width; ++i) {
      s0[i % s.c] += sums[part * 2 * width + i];
      s1[i % s.c] += sums[(part * 2 + 1) * width + i];
    }
  scratch_release(0);
  return CK_OK;
}

// out = x a + g b + d; g may be null.
template <class T>
void affine(const Kernels<T>& kernels, const ck_channels& s, const T* x, const T* g, T* out, const T* a, const T* b,
            const T* d) {
  const int64_t factor = s.channels_last ? folded(s.c, kernels.lanes) : 1;
  const Repeated<T> wa(a, s.c, factor), wb(g ? b : nullptr, s.c, factor), wd(d, s.c, factor);
  each_piece(s, factor, [&](int64_t at, int64_t rows, int64_t width, int64_t c) {
    kernels.element.affine(x + at, g ? g + at : nullptr, out + at, rows, width, s.channels_last != 0, wa + c,
                           g ? wb + c : nullptr, wd + c);
  });
}

}  // namespace convkern
