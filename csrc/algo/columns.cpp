// Windows as columns and back, line by line:
//   unfold  y[plane][k][o] = x[plane][o * stride + k * dilation - pad]        fold  x = the sum of all y that read it
// Taps are added in their order, and a line of the image by one thread: no bit depends on the number of threads.
#include <string.h>

#include <algorithm>

#include "convkern.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int64_t fit_for_one = 32768;  // elements that are not worth a second thread

int64_t product(const int64_t (&sizes)[CK_MAX_SPATIAL]) { return sizes[0] * sizes[1] * sizes[2]; }

// Outputs [low, high) of axis a that tap k reads inside the image.
struct Inside {
  int64_t low, high, first;  // the latter reads image position `first`

  Inside(const ck_columns& s, int a, int64_t k) {
    const int64_t at = k * s.dilation[a] - s.pad[a];
    low = std::min(s.out[a], at < 0 ? (-at + s.stride[a] - 1) / s.stride[a] : 0);
    const int64_t left = s.in[a] - 1 - at;
    high = std::max(low, std::min(s.out[a], left < 0 ? 0 : left / s.stride[a] + 1));
    first = low * s.stride[a] + at;
  }
};

template <class T>
void unfold(const ck_columns& s, const T* x, T* y) {
  const int64_t lines = s.out[0] * s.out[1], width = s.out[2], taps = product(s.kernel), units = s.planes * taps;
  if (units * lines * width == 0) return;
  const int threads = units * lines * width < fit_for_one ? 1 : num_threads();
  const int64_t tasks = std::min<int64_t>(units, 8 * threads);
  parallel_for(tasks, threads, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t k = unit % taps, kx = k % s.kernel[2], ky = k / s.kernel[2] % s.kernel[1];
      const int64_t kz = k / (s.kernel[2] * s.kernel[1]), step = s.stride[2];
      const Inside along(s, 2, kx);
      const T* plane = x + unit / taps * product(s.in);
      T* to = y + unit * lines * width;
      for (int64_t line = 0; line < lines; ++line, to += width) {
        const int64_t iz = line / s.out[1] * s.stride[0] + kz * s.dilation[0] - s.pad[0];
        const int64_t iy = line % s.out[1] * s.stride[1] + ky * s.dilation[1] - s.pad[1];
        if (iz < 0 || iz >= s.in[0] || iy < 0 || iy >= s.in[1]) {
          std::fill(to, to + width, T(0));
          continue;
        }
        const T* from = plane + (iz * s.in[1] + iy) * s.in[2] + along.first;
        const int64_t count = along.high - along.low;
        std::fill(to, to + along.low, T(0));
        if (step == 1 && count > 0)
          memcpy(to + along.low, from, static_cast<size_t>(count) * sizeof(T));
        else
          for (int64_t i = 0; i < count; ++i) to[along.low + i] = from[i * step];
        std::fill(to + along.high, to + width, T(0));
      }
    }
  });
}

template <class T>
void fold(const ck_columns& s, const T* y, T* x) {
  const int64_t lines = s.in[0] * s.in[1], width = s.in[2], taps = product(s.kernel), units = s.planes * lines;
  if (units * width == 0) return;
  const int64_t columns = product(s.out);
  const int threads = s.planes * taps * columns < fit_for_one ? 1 : num_threads();
  const int64_t tasks = std::min<int64_t>(units, 8 * threads);
  parallel_for(tasks, threads, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t iz = unit % lines / s.in[1], iy = unit % lines % s.in[1], step = s.stride[2];
      const T* plane = y + unit / lines * taps * columns;
      T* to = x + unit * width;
      std::fill(to, to + width, T(0));
      for (int64_t kz = 0; kz < s.kernel[0]; ++kz) {
        const int64_t z = iz + s.pad[0] - kz * s.dilation[0], oz = z / s.stride[0];
        if (z < 0 || z % s.stride[0] != 0 || oz >= s.out[0]) continue;
        for (int64_t ky = 0; ky < s.kernel[1]; ++ky) {
          const int64_t v = iy + s.pad[1] - ky * s.dilation[1], oy = v / s.stride[1];
          if (v < 0 || v % s.stride[1] != 0 || oy >= s.out[1]) continue;
          for (int64_t kx = 0; kx < s.kernel[2]; ++kx) {
            const Inside along(s, 2, kx);
            const int64_t tap = (kz * s.kernel[1] + ky) * s.kernel[2] + kx, count = along.high - along.low;
            const T* from = plane + tap * columns + (oz * s.out[1] + oy) * s.out[2] + along.low;
            T* at = to + along.first;
            if (step == 1)
              for (int64_t i = 0; i < count; ++i) at[i] += from[i];
            else
              for (int64_t i = 0; i < count; ++i) at[i * step] += from[i];
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_unfold(const ck_columns* s, const void* x, void* y) {
  if (s->dtype == CK_FLOAT32)
    unfold(*s, static_cast<const float*>(x), static_cast<float*>(y));
  else
    unfold(*s, static_cast<const double*>(x), static_cast<double*>(y));
  return CK_OK;
}

ck_status ck_fold(const ck_columns* s, const void* y, void* x) {
  if (s->dtype == CK_FLOAT32)
    fold(*s, static_cast<const float*>(y), static_cast<float*>(x));
  else
    fold(*s, static_cast<const double*>(y), static_cast<double*>(x));
  return CK_OK;
}

}  // extern "C"
