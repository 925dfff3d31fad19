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

// Machine measurements: floating-point operations done by `iterations` rounds on every thread; bytes moved by copies.
int64_t ck_fma_loop(const char* isa, int dtype, int64_t iterations);
int64_t ck_stream(const void* from, void* to, int64_t bytes, int64_t repeats);

#ifdef __cplusplus
}
#endif
#endif
