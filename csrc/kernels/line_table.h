// The door to the line kernels (kernels/lines.h): one table an ISA. Lines are contiguous runs of elements of one type,
// untyped here so that whoever cuts arrays into lines is written once. Knows no arrays and no borders.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace convkern {

enum class LineType : int32_t { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, count };
inline constexpr int line_types = static_cast<int>(LineType::count);

// A one-dimensional window of `size` taps, `step` elements apart along a line.
struct LineOp {
  int64_t size, step;
  const void* weights;  // sums: of the element type
  int32_t symmetry;     // of the weights: 1, -1 or 0
  bool minimum;         // extremes
  bool begun;           // running means: state holds the sum of the window before the first output
  void* state;
};

// Any set of taps: element offsets from the output's own place in a block of lines.
struct TapOp {
  int64_t taps;
  const ptrdiff_t* offset;
  const void* weights;
  bool minimum;
};

struct LineKernels {
  // out[m][x], m < outputs, from rows[m] ... rows[m + size - 1], x < n. No row may be an output.
  void (*across)(const LineOp& op, const void* const* rows, int64_t outputs, void* const* out, int64_t n);
  // out[x] from line[x] ... line[x + (size - 1) * step]. May overwrite the line and read 64 bytes past its end.
  void (*along)(const LineOp& op, void* line, void* out, int64_t n);
  // out[x] from base[offset[t] + x] for all taps t.
  void (*taps)(const TapOp& op, const void* base, void* out, int64_t n);
};

struct LineTable {
  LineKernels correlate[2];  // sums in float, in double
  LineKernels mean;          // in double
  LineKernels extreme[line_types];
  bool (*has_nan[2])(const void* line, int64_t n);
  // From an element type to float [0] or double [1], and back.
  void (*load[2][line_types])(const void* from, void* to, int64_t n);
  void (*save[2][line_types])(const void* from, void* to, int64_t n);
};

}  // namespace convkern
