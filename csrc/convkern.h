// The C interface of the compiled core: what Cython, and any other binding, sees. Plain structs, status codes, no
// exceptions. A plan is immutable once packed; running it is safe from many threads at once.
#ifndef CONVKERN_H
#define CONVKERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CK_MAX_SPATIAL = 3 };

typedef enum { CK_OK = 0, CK_OUT_OF_MEMORY, CK_UNSUPPORTED, CK_INVALID } ck_status;
typedef enum { CK_FLOAT32 = 0, CK_FLOAT64 } ck_dtype;
typedef enum { CK_FORWARD = 0, CK_GRAD_INPUT, CK_GRAD_WEIGHT } ck_direction;
typedef enum { CK_PAD_ZEROS = 0, CK_PAD_REFLECT, CK_PAD_REPLICATE, CK_PAD_CIRCULAR, CK_PAD_SYMMETRIC } ck_pad_mode;

// A convolution, always described as the forward one: y[n,co,o] = sum x[n,ci,o*stride + k*dilation - pad] w[co,ci,k].
// Spatial entries are z, y, x; fewer dimensions leave the leading ones at extent 1, stride 1, pad 0.
typedef struct ck_spec {
  int32_t dtype, direction, pad_mode;
  int32_t channels_last;  // the memory order the caller's arrays usually have; other strides work too
  int64_t n, groups, ci, co;
  int64_t in[CK_MAX_SPATIAL], out[CK_MAX_SPATIAL], kernel[CK_MAX_SPATIAL];
  int64_t stride[CK_MAX_SPATIAL], dilation[CK_MAX_SPATIAL], pad[CK_MAX_SPATIAL];  // pad: the low side
  int32_t clamp;                                                                  // limit the result to [lo, hi]
  double lo, hi;
  int64_t max_workspace;  // bytes an algorithm that works in slices may take
} ck_spec;

// Five strides in elements. Activations (x, y and their gradients): n, c, z, y, x. Weights: co, ci/groups, z, y, x.
typedef struct ck_array {
  void* data;
  int64_t stride[5];
} ck_array;

// What each operand is, by direction:   forward   grad_input   grad_weight
//   image                               x         dy           x
//   kernel                              w         w            dy
//   result (and residual)               y         dx           dw
typedef struct ck_operands {
  ck_array image, kernel, result, residual;  // kernel.data NULL: packed in the plan; residual.data NULL: none
  const void* bias;                          // one value per channel of the result, contiguous, or NULL
} ck_operands;

typedef struct ck_plan ck_plan;

int ck_algorithm_count(void);
const char* ck_algorithm_name(int index);

// NULL where the ISA is not in this build or not on this CPU.
const char* ck_isa_name(int index);  // best first, NULL past the end
int ck_isa_supported(const char* name);

// reason receives why not (a static string) unless the status is CK_OK.
ck_status ck_plan_create(const ck_spec* spec, const char* algorithm, const char* isa, ck_plan** plan,
                         const char** reason);
void ck_plan_destroy(ck_plan* plan);
ck_status ck_plan_pack(ck_plan* plan, const ck_array* kernel, const void* bias);
ck_status ck_plan_run(const ck_plan* plan, const ck_operands* operands);
int64_t ck_plan_workspace(const ck_plan* plan);  // bytes of scratch a run takes on all threads together
int64_t ck_plan_packed_bytes(const ck_plan* plan);
void ck_plan_detail(const ck_plan* plan, char* text, size_t size);

// Column-major GEMM with BLAS's signature; im2col is unsupported until both are set.
typedef void (*ck_sgemm)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*);
typedef void (*ck_dgemm)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*);
void ck_set_blas(ck_sgemm sgemm, ck_dgemm dgemm);

// Pooling. Along an axis output o reads first[o] + k * dilation for k < count[o], all of it inside [0, in); where these
// are the windows o * stride - pad of `taps` taps cut to the image, stride says so, otherwise it is 0. A sum is divided
// by `divisor` or, where that is 0, by the product of the axes' divisor[o].
typedef enum { CK_POOL_MAX = 0, CK_POOL_MIN, CK_POOL_ADD } ck_pool_op;
typedef struct ck_pool_axis {
  int64_t in, out, dilation, stride, taps, pad;
  const int64_t *first, *count, *divisor;
} ck_pool_axis;
typedef struct ck_pool {
  int32_t dtype, op;
  int32_t channels_last;  // in x and y the channels lie contiguous; otherwise the last axis does
  int64_t n, c;
  ck_pool_axis axis[CK_MAX_SPATIAL];  // z, y, x
  double divisor;
} ck_pool;

// indices: NULL, or where each extreme value lies in its plane, with y's strides; -1 for an empty window.
ck_status ck_pool_run(const ck_pool* pool, const char* isa, const ck_array* x, const ck_array* y, int64_t* indices);

// Moves values between a plane of `to` elements and one of `from` positions by flat indices into the former; both have
// the family's order, nothing in between. CK_INVALID: an index lies outside the plane.
typedef enum {
  CK_SCATTER_ADD = 0,  // to[index[i]] += from[i]; an index of -1 is nowhere
  CK_SCATTER,          // to[index[i]] = from[i]; elsewhere 0
  CK_GATHER            // from[i] = to[index[i]]
} ck_scatter_op;
ck_status ck_scatter(int dtype, int op, int channels_last, int64_t n, int64_t c, int64_t to_size, int64_t from_size,
                     void* to, void* from, const int64_t* indices);

// Functions of single elements of contiguous arrays; op numbers `Unary` of kernels/tap_table.h. grad NULL: out =
// f(source), otherwise out = grad f'(source). out may be an input.
ck_status ck_unary(int dtype, const char* isa, int op, int64_t count, const void* source, const void* grad, void* out,
                   double a, double b);
// out = x^p for each element; out may be x.
ck_status ck_power(int dtype, const char* isa, int64_t count, const void* x, void* out, double p);

// Arrays [n][c][inner] or, with the channels last, [n][inner][c], contiguous; a setting a channel.
typedef struct ck_channels {
  int32_t dtype, channels_last;
  int64_t n, c, inner;
} ck_channels;
// out = v where x > 0 and a v elsewhere, of v = g or, where g is NULL, x.
ck_status ck_prelu(const ck_channels* shape, const char* isa, const void* x, const void* g, void* out, const void* a);
// s0 = sum t, s1 = sum t (x - m) of each channel, t = g or, where g is NULL, x - m.
ck_status ck_moments(const ck_channels* shape, const char* isa, const void* x, const void* g, const void* m, double* s0,
                     double* s1);
// Batch normalisation; algo/batch_norm.cpp has the equations. weight, bias NULL: 1, 0; running NULL, in training only:
// none. y may be x, dx may be grad. Arrays without a type here have the dtype of x; those of channels have c values.
typedef struct ck_batch_norm {
  const void* x;
  const double *weight, *bias;
  double *running_mean, *running_var;  // training moves them by momentum
  void *y, *mean, *invstd;
  int32_t training;
  double momentum, eps;
} ck_batch_norm;
typedef struct ck_batch_norm_grad {
  const void *x, *grad;
  const double *mean, *invstd, *weight;
  void *dx, *dweight, *dbias;
  int32_t training;
} ck_batch_norm_grad;
ck_status ck_batch_norm_run(const ck_channels* shape, const char* isa, const ck_batch_norm* job);
ck_status ck_batch_norm_grad_run(const ck_channels* shape, const char* isa, const ck_batch_norm_grad* job);
// Along c of [n][c][inner] (channels_last is not read). grad NULL: of x; otherwise the gradient, x being the result.
ck_status ck_softmax(const ck_channels* shape, const char* isa, const void* x, const void* grad, void* out,
                     int logarithm);
// Local response normalisation over `size` channels around each; g: the gradient of the result, or NULL for the result.
ck_status ck_response(const ck_channels* shape, const char* isa, const void* x, const void* g, void* out, int64_t size,
                      double alpha, double beta, double k);
// Padding: out[p] = x at the sum over axes of source[a][p_a] * stride[a], or `value` where a source is -1. Axes go from
// the outermost inward; what lies below the last one, `block` elements, is contiguous in both. out is contiguous.
typedef struct ck_pad {
  int32_t dtype, axes;
  const int64_t *size, *stride;  // of out, and of x in elements
  const int64_t* const* source;  // [axes][size]
  int64_t block;
} ck_pad;
ck_status ck_pad_run(const ck_pad* pad, const void* x, void* out, double value);
// Its adjoint: out[i] = the sum of grad at the sums of positions[a][j] * stride[a], starts[a][i_a] <= j < starts[a][i_a
// + 1], strides being grad's, sizes out's.
ck_status ck_gather_add(const ck_pad* shape, const int64_t* const* starts, const int64_t* const* positions,
                        const void* grad, void* out);

// Windows as columns, y[plane][k][o] = x[plane][o * stride + k * dilation - pad], and back: x = the sum of what read
// it.
typedef struct ck_columns {
  int32_t dtype;
  int64_t planes;
  int64_t in[CK_MAX_SPATIAL], out[CK_MAX_SPATIAL], kernel[CK_MAX_SPATIAL];
  int64_t stride[CK_MAX_SPATIAL], dilation[CK_MAX_SPATIAL], pad[CK_MAX_SPATIAL];
} ck_columns;
ck_status ck_unfold(const ck_columns* shape, const void* x, void* y);
ck_status ck_fold(const ck_columns* shape, const void* y, void* x);

// Optimizers, over all arrays of a step at once; kernels/update_table.h says what a rule (its `Rule`) keeps in state
// and which settings it reads. Arrays are contiguous and share no memory.
typedef struct ck_update {
  int64_t count;
  void *parameter, *gradient, *state[2];
} ck_update;
typedef struct ck_update_settings {
  double rate, decay, keep, momentum, gain, fade, add, root, eps;
  int32_t nesterov;
} ck_update_settings;
ck_status ck_update_run(int dtype, const char* isa, int rule, const ck_update_settings* settings, int64_t count,
                        const ck_update* arrays);
// Of gradients alone: the sum of their squares in double; times a factor, or limited to [-bound, bound].
typedef enum { CK_CLIP_SCALE = 0, CK_CLIP_LIMIT } ck_clip_op;
ck_status ck_gradient_squares(int dtype, const char* isa, int64_t count, const ck_update* arrays, double* sum);
ck_status ck_gradient_clip(int dtype, const char* isa, int op, int64_t count, const ck_update* arrays, double bound);

// Machine measurements: floating-point operations done by `iterations` rounds on every thread; bytes moved by copies.
int64_t ck_fma_loop(const char* isa, int dtype, int64_t iterations);
int64_t ck_stream(const void* from, void* to, int64_t bytes, int64_t repeats);

#ifdef __cplusplus
}
#endif
#endif
