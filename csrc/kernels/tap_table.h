// What pooling and the elementwise functions need of an instruction set: jobs as plain structs, kernels as function
// pointers. A part of kernels/table.h; knows no windows, borders or threads.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace convkern {

enum class Reduction : int32_t { max, min, add };
inline constexpr int tap_ops = 3;

// How a sum ends: times a factor, over a divisor, or over divisor * divisors[i].
enum class Finish : int32_t { multiply, divide, divide_each };

inline constexpr int most_lines = 16;  // taps of `pairs` and `triples`

// out[r * out_step + i] = finish(op over k of taps[k][r * step + i])     r < rows, i < width.  Steps in elements.
template <class T>
struct TapJob {
  const T* const* taps;
  int64_t count;  // at least 1
  ptrdiff_t step;
  int64_t rows, width;
  T* out;
  ptrdiff_t out_step;
  Finish finish;  // of sums only
  T factor;       // or divisor
  const T* divisors;
  bool spill;  // out_step is width, and rows of taps follow each other, too: a vector may reach into the next row
  ptrdiff_t ahead = 0;  // fetch what lies this far beyond what is read; 0: nothing
  bool open = false;    // of triples: nothing lies before a row
};

// Positions as the index kernel counts them: as wide as the elements.
template <class T>
struct PositionOf;
template <>
struct PositionOf<float> {
  using type = int32_t;
};
template <>
struct PositionOf<double> {
  using type = int64_t;
};

// The same for max and min, with where the first extreme value (or the last NaN) was found:
//   index = position[k] + r * row_position + lane_position[i];   for a window of nothing but the op's identity
//   start + r * row_position + lane_start[i]
template <class T>
struct IndexJob {
  using P = typename PositionOf<T>::type;
  const T* const* taps;
  const int64_t* position;
  int64_t count;
  ptrdiff_t step;
  int64_t rows, width;
  T* out;
  int64_t* indices;
  ptrdiff_t out_step;  // of both
  int64_t row_position, start;
  const P *lane_position, *lane_start;  // null: 0
};

template <class T>
struct TapKernels {
  void (*run[tap_ops])(const TapJob<T>& job);
  void (*index[2])(const IndexJob<T>& job);
  T (*reduce[tap_ops])(const T* x, int64_t count);  // op over a contiguous run, not empty

  // out[r][i] = finish(op over k of op(x[2 * i], x[2 * i + 1])), x = taps[k] + r * step; no `divisors`.
  void (*pairs[tap_ops])(const TapJob<T>& job);

  // out[r][i] = finish(op over k of op(x[2 * i - 1], x[2 * i], x[2 * i + 1])), x as above; where the job is open, the
  // first of a row is that of two.
  void (*triples[tap_ops])(const TapJob<T>& job);

  // to[i] = x[2 * i + phase] for phase 0, i < evens, and for phase 1, i < odds; evens is odds or one more.
  void (*halve)(const T* x, int64_t evens, int64_t odds, T* even, T* odd);
};

// Functions of one element. Their gradients take what the forward one took, or gave: `source`.
enum class Unary : int32_t {
  relu,  // also of its own output, as relu6 and sigmoid, tanh (those only of it)
  relu6,
  leaky_relu,  // a: slope
  elu,         // a: alpha, b: scale
  gelu,
  gelu_tanh,
  silu,
  hardswish,
  sigmoid,
  tanh,
  softplus,  // a: beta, b: threshold
};
inline constexpr int unary_ops = 11;

// Local response normalisation: place (r, i) is r * step + i in the arrays and r * scratch_step + i in the scratch,
// which reaches `size` neighbours, `pitch` apart, beyond the rows on both sides and a vector further.
template <class T>
struct ResponseJob {
  const T *x, *g;  // g null: forward
  T* out;
  int64_t rows, width;
  ptrdiff_t step, scratch_step, pitch;
  int64_t size, before;
  T alpha, beta, k;
  T *squares, *inner, *scaled;
};

template <class T>
struct ElementKernels {
  void (*forward[unary_ops])(const T* x, T* out, int64_t count, T a, T b);
  void (*gradient[unary_ops])(const T* grad, const T* source, T* out, int64_t count, T a, T b);

  // out[r][i] = x a + g b + d with one a, b, d a row (per_lane false) or one for each i; g may be null.
  void (*affine)(const T* x, const T* g, T* out, int64_t rows, int64_t width, bool per_lane, const T* a, const T* b,
                 const T* d);
  // out[r][i] = x > 0 ? x : a x, a as above; with g its gradient g (x > 0 ? 1 : a).
  void (*prelu)(const T* x, const T* g, T* out, int64_t rows, int64_t width, bool per_lane, const T* a);

  // Adds to s0 and s1 the sums of t and t (x - m), t = g or, where g is null, x - m: over everything (per_lane false)
  // or for each i over the rows.
  void (*moments)(const T* x, const T* g, int64_t rows, int64_t width, bool per_lane, const T* m, double* s0,
                  double* s1);

  // Softmax along `count` elements that lie `step` apart, for `width` neighbours each (step 1: width is 1).
  void (*softmax)(const T* x, T* out, int64_t count, ptrdiff_t step, int64_t width, bool logarithm);
  void (*softmax_gradient)(const T* grad, const T* y, T* out, int64_t count, ptrdiff_t step, int64_t width,
                           bool logarithm);

  void (*power)(const T* x, T* out, int64_t count, T p);  // out = x^p
  void (*response)(const ResponseJob<T>& job);
};

}  // namespace convkern
