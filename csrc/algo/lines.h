// Filters along one axis of an array, or along two neighbouring ones at once: the problem and its entry.
//   out[o, y, x] = f_across(f_along(in))   or   f_along(f_across(in)),   each rounded to the output's type
// Arrays are (outer, ny, nx, inner): `across` runs over y, `along` over x, in steps of `inner` elements. Borders are
// those of scipy.ndimage. Knows no Python and no dtypes beyond LineType.
#pragma once

#include "core/plan.h"

namespace convkern {

enum LineMode : int32_t { line_nearest, line_wrap, line_reflect, line_mirror, line_constant };  // SciPy's numbers
enum LineKind : int32_t { line_sum, line_mean, line_maximum, line_minimum };

struct LineFilter {
  int64_t size, before;   // window, and how much of it lies before the output; size 0: no filter on this axis
  int32_t mode;           // a LineMode
  const double* weights;  // line_sum
};

struct LineJob {
  int32_t kind;              // a LineKind
  int32_t in, out, element;  // LineTypes; element: computed in. f32 or f64, for extremes the type of both arrays
  int64_t outer, ny, nx, inner;
  const char* from;
  ptrdiff_t from_outer, from_y;  // bytes; a line is contiguous
  char* to;                      // contiguous, apart from `from`
  LineFilter across, along;
  int32_t along_first;
  double cval;
};

// CK_INVALID where an extreme met a NaN: what then comes out depends on the order of comparisons.
ck_status run_lines(const LineJob& job, const char* isa);

// The index whose value stands at `i` of a line of n > 0 elements; -1 for the constant.
inline int64_t extended_index(int32_t mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  switch (mode) {
    case line_nearest:
      return i < 0 ? 0 : n - 1;
    case line_wrap:
      i %= n;
      return i < 0 ? i + n : i;
    case line_reflect:
      i %= 2 * n;
      if (i < 0) i += 2 * n;
      return i < n ? i : 2 * n - 1 - i;
    case line_mirror: {
      if (n == 1) return 0;
      const int64_t period = 2 * n - 2;
      i %= period;
      if (i < 0) i += period;
      return i < n ? i : period - i;
    }
    default:
      return -1;
  }
}

inline int64_t line_type_size(int32_t type) {
  constexpr int8_t sizes[line_types] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  return sizes[type];
}

}  // namespace convkern
