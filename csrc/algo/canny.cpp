// See canny.h. Rows are shared among threads for the thinning; the tracing is one depth-first search.
#include "algo/canny.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <vector>

#include "runtime/pool.h"

namespace convkern {

template <class T>
void thin_edges(const T* down, const T* right, const T* magnitude, const uint8_t* inside, int64_t ny, int64_t nx, T low,
                T high, uint8_t* marks) {
  memset(marks, 0, ny * nx);
  if (ny < 3 || nx < 3) return;
  constexpr int64_t rows = 32;
  const int threads = ny * nx < (1 << 15) ? 1 : num_threads();
  parallel_for((ny - 2 + rows - 1) / rows, threads, [&](int64_t task, int) {
    const int64_t last = std::min(ny - 1, 1 + (task + 1) * rows);
    for (int64_t y = 1 + task * rows; y < last; ++y)
      for (int64_t x = 1; x < nx - 1; ++x) {
        const int64_t i = y * nx + x;
        const T m = magnitude[i];
        if (!(m >= low) || !(m > 0) || (inside && !inside[i])) continue;
        const T dy = down[i], dx = right[i], ay = fabs(dy), ax = fabs(dx);
        const bool steep = ay > ax, same = (dy >= 0 && dx >= 0) || (dy <= 0 && dx <= 0);
        const int64_t straight = steep ? (same ? nx : -nx) : 1, diagonal = (same ? nx : -nx) + 1;
        const T w = steep ? ax / ay : ay / ax;
        const auto beyond = [&](int64_t side) {
          return magnitude[i + side * diagonal] * w + magnitude[i + side * straight] * (1 - w);
        };
        if (beyond(1) <= m && beyond(-1) <= m) marks[i] = m >= high ? 2 : 1;
      }
  });
}
template void thin_edges(const float*, const float*, const float*, const uint8_t*, int64_t, int64_t, float, float,
                         uint8_t*);
template void thin_edges(const double*, const double*, const double*, const uint8_t*, int64_t, int64_t, double, double,
                         uint8_t*);

ck_status trace_edges(uint8_t* marks, int64_t ny, int64_t nx) {
  constexpr uint8_t traced = 3;
  std::vector<int64_t> open;
  try {
    for (int64_t start = 0; start < ny * nx; ++start) {
      if (marks[start] != 2) continue;
      marks[start] = traced;
      open.push_back(start);
      while (!open.empty()) {
        const int64_t i = open.back(), y = i / nx, x = i % nx;
        open.pop_back();
        for (int64_t v = std::max<int64_t>(0, y - 1); v <= std::min(ny - 1, y + 1); ++v)
          for (int64_t u = std::max<int64_t>(0, x - 1); u <= std::min(nx - 1, x + 1); ++u) {
            uint8_t& mark = marks[v * nx + u];
            if (mark != 1 && mark != 2) continue;
            mark = traced;
            open.push_back(v * nx + u);
          }
      }
    }
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
  for (int64_t i = 0; i < ny * nx; ++i) marks[i] = marks[i] == traced;
  return CK_OK;
}

}  // namespace convkern
