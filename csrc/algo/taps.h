// Filters with windows of any shape over arrays of any number of dimensions: the problem and its entry.
//   out[i] = f_t(in[i + offset[t]], weight[t])      f: the sum of products, or an extreme of sums, in the order of t
// Knows no Python and no dtypes beyond LineType.
#pragma once

#include "algo/lines.h"

namespace convkern {

struct TapFilter {
  int32_t kind;              // line_sum, line_maximum or line_minimum
  int32_t in, out, element;  // as in LineJob
  int32_t dims, mode;
  const int64_t* shape;  // both arrays contiguous and apart, at least 2 dimensions
  const char* from;
  char* to;
  int64_t taps;
  const int64_t* offset;  // [taps][dims]
  const double* weights;  // [taps]; may be null for extremes
  double cval;
};

ck_status run_taps(const TapFilter& job, const char* isa);

}  // namespace convkern
