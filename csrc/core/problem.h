// Every direction of every convolution, brought to one form (no algorithm knows more):
//   result[g,b,o,q] = bias + sum_{c,t} image[g,b,c, q*stride + t*dilation - pad] * kernel[g,o,c,t]
// Per axis, q runs over `out` positions, t over `taps`; image indices outside [0, in) follow the padding mode.
// Operands are base pointers plus the strides here (elements, any sign). Knows no memory, no threads, no ISA.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "convkern.h"

namespace convkern {

struct Axis {
  int64_t out, in, taps, stride, dilation, pad;

  // Whether every window lies in the image.
  bool inside() const { return pad <= 0 && (out - 1) * stride + (taps - 1) * dilation - pad < in; }
};

struct Problem {
  int64_t groups, batch, channels, outputs;  // channels and outputs of one group
  Axis axis[CK_MAX_SPATIAL];                 // z, y, x
  int pad_mode;

  struct {
    ptrdiff_t offset, group, batch, channel, axis[CK_MAX_SPATIAL];
  } image;
  struct {
    ptrdiff_t offset, group, output, channel, axis[CK_MAX_SPATIAL];
  } kernel;
  struct Result {
    ptrdiff_t offset, group, batch, output, axis[CK_MAX_SPATIAL];
  } result, residual;
  bool bias_per_output;  // bias[g * outputs + o]; false in grad_weight, which has none

  int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
  int64_t depth() const { return channels * taps(); }
  int64_t pixels() const { return axis[0].out * axis[1].out * axis[2].out; }
};

// How many problems a spec falls into: 1, or one per residue of the stride for grad_input (only those with taps).
int64_t phase_count(const ck_spec& spec);

// Whether phases leave outputs that no tap reaches; those are bias alone and must be filled first.
bool phases_leave_gaps(const ck_spec& spec);

// Problem number `phase` over arrays with the strides of `operands`. Adjacent 1x1 axes that lie contiguous merge.
Problem lower(const ck_spec& spec, const ck_operands& operands, int64_t phase);

// The strides of freshly allocated arrays in the spec's layout (data pointers stay null).
ck_operands canonical_operands(const ck_spec& spec);

// The image index a padded position stands for, or -1 for a zero.
inline int64_t pad_index(int mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  if (n <= 0 || mode == CK_PAD_ZEROS) return -1;
  switch (mode) {
    case CK_PAD_REPLICATE:
      return i < 0 ? 0 : n - 1;
    case CK_PAD_CIRCULAR:
      i %= n;
      return i < 0 ? i + n : i;
    case CK_PAD_SYMMETRIC:
      i %= 2 * n;
      if (i < 0) i += 2 * n;
      return i < n ? i : 2 * n - 1 - i;
    default:  // reflect
      if (n == 1) return 0;
      i %= 2 * n - 2;
      if (i < 0) i += 2 * n - 2;
      return i < n ? i : 2 * n - 2 - i;
  }
}

// An axis whose windows are single pixels reads every stride-th one: it may as well be an image of those alone.
inline Problem without_gaps(Problem p) {
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    Axis& x = p.axis[a];
    if (x.taps != 1 || x.stride == 1 || x.pad != 0 || x.out == 0 || (x.out - 1) * x.stride >= x.in) continue;
    x.in = x.out;
    p.image.axis[a] *= x.stride;
    x.stride = 1;
  }
  return p;
}

}  // namespace convkern
