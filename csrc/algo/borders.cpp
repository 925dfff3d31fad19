// Padding and its adjoint as copies and sums of lines:  y[p] = x[source(p)],  dx[i] = sum of dy[p] where source(p) = i
// An axis is a table of indices, so there are no modes here. Lines are shared out to threads; each is written by one.
#include <string.h>

#include <algorithm>

#include "convkern.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int most_axes = 64;           // NumPy's
constexpr int64_t fit_for_one = 32768;  // elements that are not worth a second thread

// f(line, its index along each axis but the last) for the lines of a contiguous array.
template <class F>
void each_line(const ck_pad& s, F&& f) {
  const int last = s.axes - 1;
  int64_t lines = 1;
  for (int a = 0; a < last; ++a) lines *= s.size[a];
  const int64_t width = s.size[last] * s.block;
  if (lines == 0 || width == 0) return;
  const int threads = lines * width < fit_for_one ? 1 : num_threads();
  const int64_t tasks = std::min<int64_t>(lines, 8 * threads);
  parallel_for(tasks, threads, [&](int64_t task, int) {
    int64_t index[most_axes], line = lines * task / tasks, rest = line;
    for (int a = last - 1; a >= 0; --a) index[a] = rest % s.size[a], rest /= s.size[a];
    for (const int64_t end = lines * (task + 1) / tasks; line < end; ++line) {
      f(line, index);
      for (int a = last - 1; a >= 0 && ++index[a] == s.size[a]; --a) index[a] = 0;
    }
  });
}

// The longest stretch of [0, size) over which place(i) rises by one and is not negative: it is copied as it is.
struct Stretch {
  int64_t begin = 0, end = 0;
};

template <class F>
Stretch longest(int64_t size, F&& place) {
  Stretch best;
  for (int64_t i = 0; i < size;) {
    int64_t j = i + 1;
    while (j < size && place(i) >= 0 && place(j) == place(j - 1) + 1) ++j;
    if (place(i) >= 0 && j - i > best.end - best.begin) best = {i, j};
    i = j;
  }
  return best;
}

template <class T>
void pad(const ck_pad& s, const T* x, T* out, T value) {
  const int last = s.axes - 1;
  const int64_t size = s.size[last], block = s.block, *source = s.source[last];
  const ptrdiff_t step = s.stride[last];
  const Stretch plain = longest(size, [&](int64_t i) { return source[i]; });
  const int64_t begin = plain.begin, end = plain.end;
  each_line(s, [&](int64_t line, const int64_t* index) {
    T* to = out + line * size * block;
    const T* from = x;
    for (int a = 0; a < last && from; ++a) {
      const int64_t i = s.source[a][index[a]];
      from = i < 0 ? nullptr : from + i * s.stride[a];
    }
    if (!from) {
      std::fill(to, to + size * block, value);
      return;
    }
    const auto one = [&](int64_t i) {
      const T* place = from + source[i] * step;
      if (source[i] < 0)
        std::fill(to + i * block, to + (i + 1) * block, value);
      else if (block == 1)
        to[i] = *place;
      else
        memcpy(to + i * block, place, static_cast<size_t>(block) * sizeof(T));
    };
    for (int64_t i = 0; i < begin; ++i) one(i);
    if (step == block && begin < end)
      memcpy(to + begin * block, from + source[begin] * step, static_cast<size_t>((end - begin) * block) * sizeof(T));
    else
      for (int64_t i = begin; i < end; ++i) one(i);
    for (int64_t i = end; i < size; ++i) one(i);
  });
}

template <class T>
void gather_add(const ck_pad& s, const int64_t* const* starts, const int64_t* const* positions, const T* grad, T* out) {
  const int last = s.axes - 1;
  const int64_t size = s.size[last], block = s.block, *start = starts[last], *position = positions[last];
  const ptrdiff_t step = s.stride[last];
  const Stretch plain =
      longest(size, [&](int64_t i) { return start[i + 1] - start[i] == 1 ? position[start[i]] : -1; });
  each_line(s, [&](int64_t line, const int64_t* index) {
    T* to = out + line * size * block;
    std::fill(to, to + size * block, T(0));
    int64_t at[most_axes];
    for (int a = 0; a < last; ++a) {
      at[a] = starts[a][index[a]];
      if (at[a] == starts[a][index[a] + 1]) return;  // cropped
    }
    for (;;) {  // over all lines that were read from this one, the last axis fastest
      const T* from = grad;
      for (int a = 0; a < last; ++a) from += positions[a][at[a]] * s.stride[a];
      const auto some = [&](int64_t i, int64_t end) {
        for (; i < end; ++i)
          for (int64_t j = start[i]; j < start[i + 1]; ++j) {
            const T* place = from + position[j] * step;
            for (int64_t l = 0; l < block; ++l) to[i * block + l] += place[l];
          }
      };
      some(0, plain.begin);
      if (step == block && plain.begin < plain.end) {
        const T* place = from + position[start[plain.begin]] * step;
        T* inside = to + plain.begin * block;
        for (int64_t l = 0; l < (plain.end - plain.begin) * block; ++l) inside[l] += place[l];
      } else {
        some(plain.begin, plain.end);
      }
      some(plain.end, size);
      int a = last - 1;
      for (; a >= 0 && ++at[a] == starts[a][index[a] + 1]; --a) at[a] = starts[a][index[a]];
      if (a < 0) return;
    }
  });
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_pad_run(const ck_pad* s, const void* x, void* out, double value) {
  if (s->axes < 1 || s->axes > most_axes) return CK_INVALID;
  if (s->dtype == CK_FLOAT32)
    pad(*s, static_cast<const float*>(x), static_cast<float*>(out), static_cast<float>(value));
  else
    pad(*s, static_cast<const double*>(x), static_cast<double*>(out), value);
  return CK_OK;
}

ck_status ck_gather_add(const ck_pad* s, const int64_t* const* starts, const int64_t* const* positions,
                        const void* grad, void* out) {
  if (s->axes < 1 || s->axes > most_axes) return CK_INVALID;
  if (s->dtype == CK_FLOAT32)
    gather_add(*s, starts, positions, static_cast<const float*>(grad), static_cast<float*>(out));
  else
    gather_add(*s, starts, positions, static_cast<const double*>(grad), static_cast<double*>(out));
  return CK_OK;
}

}  // extern "C"
