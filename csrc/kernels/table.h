// The only door between the ISA-independent core and the compiled kernels: plain structs of sizes and function
// pointers, one table per (ISA, dtype). Knows nothing of convolution; loops above it name no ISA.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/bf16x3_table.h"
#include "kernels/line_table.h"
#include "kernels/tap_table.h"
#include "kernels/update_table.h"

namespace convkern {

// A step k of a product reads the scalar at row + a (row side) and the vectors at panel + b (vector side). Bytes.
struct Tap {
  ptrdiff_t a, b;
};

enum class Start : int32_t { zero, load, lane_bias, row_bias };

// What all tiles of one product share.  C[m][v] = start + sum_k row[m][tap(k).a] * panel[v][tap(k).b], clamped.
// The steps k come in runs: `run` steps from each listed tap on, one `along` further than the last.
template <class T>
struct TileJob {
  const Tap* taps;
  int64_t listed, run;
  Tap along;
  ptrdiff_t ldc;  // bytes between rows of C
  Start start;    // where the sums begin: 0, the values in C, a bias per lane or a bias per row
  bool clamp;     // limit to [lo, hi] before storing (the last product of a sum only)
  T lo, hi;
};

// rows: MR pointers; panel: first lane; c: MR rows of NV vectors; bias: NV vectors (lane_bias), MR values (row_bias).
template <class T>
using TileFunction = void (*)(const TileJob<T>& job, const char* const* rows, const char* panel, char* c,
                              const T* bias);

inline constexpr int max_tile_rows = 14;
inline constexpr int max_tile_shapes = 4;
inline constexpr int max_panel_lanes = 64;  // elements of the widest tile of any table

template <class T>
struct TileShape {
  int rows;     // most rows (MR) a tile of this width may have; functions exist for 1..rows
  int vectors;  // NV: width in vectors
  TileFunction<T> run[max_tile_rows + 1];
};

// A matrix seen through two strides (elements, not bytes).
template <class T>
struct MatrixView {
  T* data;
  ptrdiff_t row, column;
};

// A line of Winograd tiles whose sums are short; see kernels/winograd_few.h. Strides in elements.
template <class T>
struct WinogradFew {
  const T *v, *u;            // V[j][k][i][tile] and U[vector][j][k][i][lane] of the points (i, j)
  ptrdiff_t pitch;           // between V's lines of tiles
  int64_t depth, far_depth;  // k; those that count at infinity along x
  int64_t tiles, vectors;
  const T* bias;  // whole vectors, or null
  bool clamp;
  T lo, hi;
  T* out;
  ptrdiff_t row, column;
  int64_t rows, columns;  // of the outputs of the line that there are
};

// One tile's sums back to its outputs, and what is done to them on the way. Strides in elements.
template <class T>
struct WinogradTile {
  const T* sums;
  ptrdiff_t point;
  int64_t vectors;  // of outputs
  const T* bias;    // whole vectors, or null
  T* out;
  ptrdiff_t row, column;
  ptrdiff_t ahead;    // from `out` to what is written next and fetched meanwhile, or 0
  const T* residual;  // or null
  ptrdiff_t residual_row, residual_column;
  bool clamp;
  T lo, hi;
};

// Transforms of F(my x mx, ry x rx) for vectors along channels, t = m + r - 1; my = ry = 1 in one dimension. See
// kernels/winograd.h. Strides in elements.
template <class T>
struct WinogradKernels {
  int m[2], r[2];  // along y and x
  void (*input)(const T* source, ptrdiff_t row, ptrdiff_t column, int64_t vectors, T* v, ptrdiff_t point);
  bool (*output)(const WinogradTile<T>& tile);  // false: not all finite
  void (*filter)(const T* source, ptrdiff_t row, ptrdiff_t tap, int64_t vectors, T* u, ptrdiff_t point);
  // Where sums are short, or null: the input with tiles in the lanes, and a line of tiles; false: not all finite.
  void (*few_input)(const T* source, ptrdiff_t row, const ptrdiff_t* column, int64_t vectors, T* v, ptrdiff_t v_row,
                    ptrdiff_t v_column);
  bool (*few)(const WinogradFew<T>& job);
};

inline constexpr int winograd_forms = 8;

// One vector of channels through a window of `lines` lines of `taps` taps; see kernels/depthwise.h. Strides in
// elements.
template <class T>
struct DepthwiseJob {
  const ptrdiff_t *line, *weight;  // where the lines start from x, and their weights from `weights`
  int64_t lines, taps;
  ptrdiff_t step, tap_step, out_step;  // between outputs of a line, between its taps, between results
  const T *weights, *bias;             // bias: one vector, or null
  bool clamp;
  T lo, hi;
};

// Vectors of channels along lines of outputs, straight from the image; see kernels/sweep.h. Strides in elements.
template <class T>
struct SweepJob {
  const T* const* rows;     // row_offset before column 0 of the lines that a window reads, top to bottom
  const ptrdiff_t* inside;  // more than one line of outputs: -1, or 0 for a row of zeros, of which rows[i] is a vector
  const ptrdiff_t* weight;  // one line of outputs: where each row's weights lie from `weights`; more: not read
  int64_t lines;            // how many rows there are, likewise
  const T *weights, *bias;  // of the first vector, as [line][tap][lane]; bias: a vector each, or null
  ptrdiff_t weight_step;    // from a vector's weights to the next one's
  int64_t vectors;
  ptrdiff_t pixel, out_step;   // between columns, and between outputs
  int64_t lead, in;            // columns of zeros before the line (negative: those to leave out), and its own
  int64_t first, last, steps;  // steps to do, of all: output q ends with step q + ceil(taps / stride) - 1
  T* const* out;               // out_offset before output 0 of each line of outputs
  ptrdiff_t row_offset, out_offset;
  T* carry;  // sums between steps: (ceil(taps / stride) - 1) vectors a line of outputs and vector
  bool clamp;
  T lo, hi;
};
// One plane, pixels on the lanes; see kernels/depthwise_plane.h. Strides in elements.
template <class T>
struct DepthwisePlane {
  const T* const* rows;      // lines of the image from the first one that output line 0 reads
  const ptrdiff_t* offset;   // of each tap along x
  int64_t columns;           // of the image, -1 where its lines have their borders with them
  int64_t taps, lines;       // along x, and along y
  int64_t stride, dilation;  // along y
  const T* weights;          // [line][tap], weight_step apart
  ptrdiff_t weight_step;
  T bias;
  T* out;
  ptrdiff_t out_row;
  int64_t count, width;  // lines of outputs, and outputs of a line
  int64_t behind;        // elements behind the last line that are written later, if lines lie end to end
  bool clamp;
  T lo, hi;
};

inline constexpr int max_sweep_lines = 4;
template <class T>
using SweepFunction = void (*)(const SweepJob<T>& job);

// Transforms of vectors of lines; see kernels/fft.h. Strides in elements. A complex number is a pair of vectors.
template <class T>
struct FftView {
  T* data;
  ptrdiff_t step, imag;  // number j: real part at data + j * step, imaginary part `imag` further
};
inline constexpr int max_fft_passes = 12;
template <class T>
struct FftLine {
  int64_t n, lines;  // of `lines` vectors that lie side by side
  int passes, radix[max_fft_passes];
  bool per_lane;     // factors are vectors
  const T* factors;  // n - 1 complex numbers in the order of the passes
};
// result[t][o][p] (+)= sum_k image[tile[t * terms + k]][p] kernel[p][o][k]   for points p, each 2 vectors
template <class T>
struct FftProduct {
  int64_t first, last, tiles, outputs, terms;  // first <= p < last
  const T* image;
  const ptrdiff_t* tile;
  const T* kernel;
  ptrdiff_t kernel_point, kernel_output;
  T* result;
  ptrdiff_t result_tile, result_output;
  bool add;  // to what is there
};
// Memory that is read soon: `rows` rows of `lines` cache lines, `pitch` bytes apart.
struct FftAhead {
  const char* data;
  ptrdiff_t pitch;
  int64_t rows, lines;
};
template <class T>
struct FftKernels {
  void (*forward)(const FftLine<T>& line, FftView<const T> from, FftView<T> to);  // columns
  void (*inverse)(const FftLine<T>& line, FftView<T> at);
  void (*rows)(const FftLine<T>& line, T* row);
  void (*rows_inverse)(const FftLine<T>& line, T* row);
  // Both, and times the kernel's row between; meanwhile `ahead` is fetched.
  void (*filter)(const FftLine<T>& line, T* row, const T* kernel, FftAhead ahead);
  void (*scatter)(FftView<const T> column, int64_t groups, T* to, ptrdiff_t pitch);
  void (*gather)(const T* from, ptrdiff_t pitch, int64_t groups, FftView<T> column);
  void (*product)(const FftProduct<T>& job);
  void (*keep)(const T* from, ptrdiff_t step, int64_t count, T scale, T* to);
  void (*copy)(const T* from, ptrdiff_t pitch, int64_t rows, int64_t columns, T* to, ptrdiff_t to_pitch);
  bool (*finish)(const T* rows, ptrdiff_t pitch, int64_t count, int64_t columns, T bias, T* to, ptrdiff_t to_pitch,
                 const T* limits);
};

template <class T>
struct Kernels {
  const char* isa;
  int lanes;  // elements of a vector
  int shapes;
  TileShape<T> tile[max_tile_shapes];

  // panel[i][j] = source(i, j) for j < columns, 0 for columns <= j < width. Used to pack either operand.
  void (*pack)(MatrixView<const T> source, int64_t rows, int64_t columns, T* panel, int64_t width);

  // out(i, j) = clamp(c[i * ldc + j] + residual(i, j)), any strides on out and residual (residual.data may be null).
  void (*store)(const T* c, int64_t ldc, int64_t rows, int64_t columns, MatrixView<T> out, MatrixView<const T> residual,
                bool clamp, T lo, T hi);

  WinogradKernels<T> winograd[winograd_forms];

  // `count` outputs of a line, a vector of channels each.
  void (*depthwise)(const DepthwiseJob<T>& job, const T* x, T* out, int64_t count);

  // The sweep over `outputs` lines of outputs (at most max_sweep_lines), or null where there is none. `lines`: lines of
  // taps that lie side by side in the weights; any other number where these do not. Several lines of outputs are
  // neighbours, `stride` apart, and have all these lines.
  SweepFunction<T> (*sweep)(int64_t outputs, int64_t lines, int64_t taps, int64_t stride);

  void (*depthwise_plane)(const DepthwisePlane<T>& job);
  // to[r][i] = x[r][i * step] for i < n, r < rows.
  void (*every_nth)(const T* x, ptrdiff_t from_row, ptrdiff_t step, int64_t n, T* to, ptrdiff_t to_row, int64_t rows);
  // to[r][i * step] = x[r][i], likewise. `between`: what lies between them is the caller's alone and may be rewritten.
  void (*to_every_nth)(const T* x, ptrdiff_t from_row, int64_t n, T* to, ptrdiff_t to_row, ptrdiff_t step, int64_t rows,
                       bool between);

  // sums[k] += sum_i grad[i * grad_step] * x[i * step + k * tap_step] for `taps` taps k: vectors of channels, strides
  // in elements.
  void (*depthwise_weight)(const T* grad, ptrdiff_t grad_step, int64_t count, const T* x, ptrdiff_t step,
                           ptrdiff_t tap_step, int64_t taps, T* sums);
  // The same bits for three by three taps whose windows are neighbouring pixels of the lines x[r], sums [r][k]; null
  // where the registers do not hold them.
  void (*depthwise_weight_3x3)(const T* grad, ptrdiff_t grad_step, int64_t count, const T* const* x, ptrdiff_t step,
                               T* sums);

  FftKernels<T> fft;
  TapKernels<T> tap;
  ElementKernels<T> element;
  UpdateKernels<T> update;
  Bf16Kernels bf16x3;  // of float32 only

  // Does `iterations` rounds of independent multiply-adds in registers; returns the floating-point operations done.
  int64_t (*peak)(int64_t iterations);
};

// One of each per compiled isa/*.cpp.
#define CK_DECLARE_ISA(NAME)                   \
  namespace NAME {                             \
  extern const Kernels<float> kernels_float;   \
  extern const Kernels<double> kernels_double; \
  extern const LineTable lines_table;          \
  }
CK_DECLARE_ISA(baseline)
CK_DECLARE_ISA(avx2)
CK_DECLARE_ISA(avx512)
CK_DECLARE_ISA(neon)
CK_DECLARE_ISA(odd)
#undef CK_DECLARE_ISA

// What this one has beside the tables of avx512.
namespace amx {
extern const Bf16Kernels bf16_kernels;
}

}  // namespace convkern
