// Copies stretches of lines into scratch, converted to the type computed in and extended past the ends.
//   to[i] = line[extended_index(start + i)],   each entry a pixel of `inner` elements
// Knows no filter.
#pragma once

#include <string.h>

#include <algorithm>

#include "algo/lines.h"

namespace convkern {

struct LineStage {
  int64_t in, element;  // bytes of an element of the array, and of one computed in
  int32_t mode;
  int64_t length, inner;
  void (*load)(const void*, void*, int64_t);  // null where both types are the same
  char cval[8];

  LineStage(const LineTable& table, int32_t in_type, int32_t type, int32_t extension, int64_t nx, int64_t pixel,
            double constant)
      : in(line_type_size(in_type)),
        element(line_type_size(type)),
        mode(extension),
        length(nx),
        inner(pixel),
        load(in_type == type ? nullptr : table.load[type == static_cast<int32_t>(LineType::f32) ? 0 : 1][in_type]) {
    table.save[1][type](&constant, cval, 1);
  }

  void fill(char* to, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) memcpy(to + i * element, cval, element);
  }

  // Pixels [start, start + count) of the line.
  void stage(const char* line, int64_t start, int64_t count, char* to) const {
    const int64_t pixel = inner * element;
    const int64_t lo = std::clamp<int64_t>(-start, 0, count), hi = std::clamp<int64_t>(length - start, lo, count);
    const auto copy = [&](int64_t from, int64_t n, int64_t at) {
      const char* p = line + from * inner * in;
      if (load)
        load(p, to + at * pixel, n * inner);
      else
        memcpy(to + at * pixel, p, n * pixel);
    };
    if (hi > lo) copy(start + lo, hi - lo, lo);
    const auto border = [&](int64_t i) {
      const int64_t s = extended_index(mode, start + i, length);
      if (s < 0)
        fill(to + i * pixel, inner);
      else if (s >= start + lo && s < start + hi)
        memcpy(to + i * pixel, to + (s - start) * pixel, pixel);
      else
        copy(s, 1, i);
    };
    for (int64_t i = 0; i < lo; ++i) border(i);
    for (int64_t i = hi; i < count; ++i) border(i);
  }

  // The line lies whole behind `before` pixels already: the borders alone.
  void extend(char* line, int64_t before, int64_t after) const {
    const int64_t pixel = inner * element;
    char* first = line + before * pixel;
    const auto border = [&](int64_t i) {
      const int64_t s = extended_index(mode, i, length);
      if (s < 0)
        fill(first + i * pixel, inner);
      else
        memcpy(first + i * pixel, first + s * pixel, pixel);
    };
    for (int64_t i = -before; i < 0; ++i) border(i);
    for (int64_t i = length; i < length + after; ++i) border(i);
  }
};

}  // namespace convkern
