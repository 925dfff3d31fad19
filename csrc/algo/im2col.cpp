// The classic: gather a slice of patches into a bounded buffer, then one BLAS product a slice.
//   columns (k, pixel): buffer[k][i], pixels contiguous       patches (pixel, k): buffer[i][t][c], channels contiguous
//   C[i,o] = bias + sum_k buffer(i,k) kernel(o,k)
// Slices stay inside a sample (so a sample's bits do not depend on its batch) and inside max_workspace. A pointwise
// convolution hands BLAS the image itself. The product is BLAS's, with BLAS's own threads.
#include <limits.h>
#include <stdio.h>

#include <algorithm>

#include "algo/algorithms.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/float_mode.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

ck_sgemm blas_sgemm;
ck_dgemm blas_dgemm;

enum Slot { buffer_slot = 5, sums_slot = 6, kernel_slot = 7 };

// A matrix as BLAS takes one: (row, column) at row*1 + column*ld, or exchanged when `transposed`.
template <class T>
struct Matrix {
  const T* data;
  int64_t ld;
  bool transposed;
  bool usable(int64_t rows, int64_t columns) const {
    const int64_t least = transposed ? columns : rows;
    return ld >= std::max<int64_t>(1, least) && ld <= INT_MAX;
  }
};

void gemm(char ta, char tb, int m, int n, int k, const float* a, int lda, const float* b, int ldb, float beta, float* c,
          int ldc) {
  float one = 1;
  blas_sgemm(&ta, &tb, &m, &n, &k, &one, const_cast<float*>(a), &lda, const_cast<float*>(b), &ldb, &beta, c, &ldc);
}
void gemm(char ta, char tb, int m, int n, int k, const double* a, int lda, const double* b, int ldb, double beta,
          double* c, int ldc) {
  double one = 1;
  blas_dgemm(&ta, &tb, &m, &n, &k, &one, const_cast<double*>(a), &lda, const_cast<double*>(b), &ldb, &beta, c, &ldc);
}

// C(m x n) = A(m x k) B(k x n) + beta C, all in BLAS's column order.
template <class T>
void multiply(int64_t m, int64_t n, int64_t k, Matrix<T> a, Matrix<T> b, T beta, T* c, int64_t ldc) {
  const FlushDenormals flush;
  gemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', static_cast<int>(m), static_cast<int>(n),
       static_cast<int>(k), a.data, static_cast<int>(a.ld), b.data, static_cast<int>(b.ld), beta, c,
       static_cast<int>(ldc));
}

template <class T>
struct Slices {
  Chunking chunks;
  Region blocks;  // all outputs
  bool patches;   // buffer[i][t][c] rather than buffer[k][i]
  int64_t rows;   // of a slice, at most

  // A slice's buffer, its sums and its kernel chunk together stay within `limit` bytes, or are single rows.
  Slices(const Problem& p, int64_t limit, bool span_batch)
      : chunks(p, INT64_MAX),
        blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        patches(p.image.channel == 1 && p.channels > 1) {
    const int64_t budget = std::max<int64_t>(1, limit / int64_t{sizeof(T)});
    const auto rows_for = [&](int64_t depth) {
      return (budget - depth * p.outputs) / std::max<int64_t>(1, depth + p.outputs);
    };
    int64_t depth = p.depth();
    // Halving leaves room for enough rows that BLAS has something to block.
    while (chunks.depth() > 64 && rows_for(chunks.depth()) < 256) chunks = Chunking(p, depth /= 2);
    if (patches && chunks.count() > 1) patches = false;
    rows = std::max<int64_t>(1, std::min<int64_t>(rows_for(chunks.depth()), INT_MAX / 2));
    for (int d = 3; d >= (span_batch ? 0 : 1); --d) {
      const int64_t inner = blocks.rows();
      blocks.set(d, even_piece(blocks.extent[d], std::max<int64_t>(1, rows / std::max<int64_t>(1, inner))));
      if (blocks.parts[d] > 1) break;
    }
    rows = blocks.rows();
  }
  int64_t bytes(const Problem& p) const {
    return (chunks.depth() * (rows + p.outputs) + rows * p.outputs) * int64_t{sizeof(T)};
  }
};

template <class T>
class Im2col final : public Algorithm {
 public:
  Im2col(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels) {}

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(packed_bytes())) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    T* to = reinterpret_cast<T*>(packed_.data);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      const T* from = static_cast<const T*>(kernel.data) + p.kernel.offset;
      for (int64_t g = 0; g < p.groups; ++g, to += p.outputs * p.depth())
        pack_rows(p, from + g * p.kernel.group, p.outputs, Chunking(p, INT64_MAX)[0], to);
    }
    return CK_OK;
  }

  ck_status run(const ck_operands& o) const override {
    if (phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    const T* packed = o.kernel.data ? nullptr : reinterpret_cast<const T*>(packed_.data);
    bool ok = true;
    for (int64_t phase = 0; phase < phase_count(spec_) && ok; ++phase) {
      const Problem p = lower(spec_, o, phase);
      if (p.pixels() > 0) {
        const Slices<T> slices(p, spec_.max_workspace, spec_.direction == CK_GRAD_WEIGHT);
        for (int64_t g = 0; g < p.groups && ok; ++g)
          for (int64_t i = 0; i < slices.blocks.count() && ok; ++i)
            ok = slice(p, o, slices, g, slices.blocks[i], packed ? packed + g * p.outputs * p.depth() : nullptr);
      }
      if (packed) packed += p.groups * p.outputs * p.depth();
    }
    for (int slot : {buffer_slot, sums_slot, kernel_slot}) scratch_release(slot);
    return ok ? CK_OK : CK_OUT_OF_MEMORY;
  }

  int64_t workspace() const override {
    int64_t most = 0;
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, canonical_operands(spec_), phase);
      if (p.pixels() > 0)
        most = std::max(most, Slices<T>(p, spec_.max_workspace, spec_.direction == CK_GRAD_WEIGHT).bytes(p));
    }
    return most;
  }
  int64_t packed_bytes() const override {
    return spec_.co * (spec_.ci / spec_.groups) * spec_.kernel[0] * spec_.kernel[1] * spec_.kernel[2] *
           int64_t{sizeof(T)};
  }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Slices<T> s(p, spec_.max_workspace, spec_.direction == CK_GRAD_WEIGHT);
    snprintf(text, size, "BLAS on slices of %lld pixels x %lld, %s", static_cast<long long>(s.rows),
             static_cast<long long>(s.chunks.depth()), s.patches ? "patches" : "columns");
  }

 private:
  // buffer(i, k) of a chunk as a BLAS matrix of rows x depth; data null where memory is out.
  Matrix<T> gather(const Problem& p, const T* image, const Block& block, const Chunk& chunk, bool patches) const {
    const int64_t rows = block.rows();
    const Box box = touched(p, block, chunk);
    const ptrdiff_t stride[4] = {p.image.batch, p.image.axis[0] * p.axis[0].stride, p.image.axis[1] * p.axis[1].stride,
                                 p.image.axis[2] * p.axis[2].stride};
    ptrdiff_t step;
    if (p.taps() == 1 && inside(p, box) && even_stride(stride, block, &step)) {
      const T* base = ImageView<T>(p, image, box).base;
      const Matrix<T> columns = {base, p.image.channel, false}, rowwise = {base, step, true};
      if (step == 1 && columns.usable(rows, chunk.depth)) return columns;
      if (p.image.channel == 1 && rowwise.usable(rows, chunk.depth)) return rowwise;
    }
    T* buffer = static_cast<T*>(scratch(buffer_slot, rows * chunk.depth * sizeof(T)));
    if (!buffer) return {nullptr, 0, false};
    const int64_t x = block.extent[3];
    const auto index = [&](int a, int64_t q, int64_t t) {
      return pad_index(p.pad_mode, q * p.axis[a].stride + t * p.axis[a].dilation - p.axis[a].pad, p.axis[a].in);
    };
    const int64_t taps_x = chunk.extent[3], taps_y = chunk.extent[2], taps_z = chunk.extent[1];
    const int threads = rows * chunk.depth > 16384 ? num_threads() : 1;
    parallel_for(patches ? block.lines() : chunk.depth, threads, [&](int64_t task, int) {
      for (int64_t i = 0; i < (patches ? chunk.depth / chunk.extent[0] : block.lines()); ++i) {
        const int64_t line = patches ? task : i, k = patches ? i : task;
        const int64_t y = block.start[2] + line % block.extent[2];
        const int64_t z = block.start[1] + line / block.extent[2] % block.extent[1];
        const int64_t b = block.start[0] + line / (block.extent[2] * block.extent[1]);
        const int64_t tx = chunk.start[3] + k % taps_x, ty = chunk.start[2] + k / taps_x % taps_y;
        const int64_t tz = chunk.start[1] + k / (taps_x * taps_y) % taps_z;
        const int64_t c = patches ? 0 : chunk.start[0] + k / (taps_x * taps_y * taps_z);
        const int64_t iz = index(0, z, tz), iy = index(1, y, ty);
        const bool inside_row = iz >= 0 && iy >= 0;
        const T* from = image + b * p.image.batch + c * p.image.channel;
        if (inside_row) from += iz * p.image.axis[0] + iy * p.image.axis[1];
        if (patches) {
          T* to = buffer + line * x * chunk.depth + k * chunk.extent[0];
          for (int64_t j = 0; j < x; ++j, to += chunk.depth) {
            const int64_t ix = inside_row ? index(2, block.start[3] + j, tx) : -1;
            if (ix < 0)
              memset(to, 0, chunk.extent[0] * sizeof(T));
            else
              memcpy(to, from + ix * p.image.axis[2], chunk.extent[0] * sizeof(T));
          }
          continue;
        }
        T* to = buffer + k * rows + line * x;
        if (!inside_row) {
          memset(to, 0, x * sizeof(T));
          continue;
        }
        const int64_t first = block.start[3] * p.axis[2].stride + tx * p.axis[2].dilation - p.axis[2].pad;
        gather_line(from, p, first, x, to);
      }
    });
    return patches ? Matrix<T>{buffer, chunk.depth, true} : Matrix<T>{buffer, rows, false};
  }

  // to[j] = image x line at pad(first + j * stride).
  static void gather_line(const T* from, const Problem& p, int64_t first, int64_t count, T* to) {
    const int64_t stride = p.axis[2].stride, in = p.axis[2].in;
    const ptrdiff_t step = p.image.axis[2];
    const int64_t lo = std::clamp<int64_t>(first < 0 ? ceil_div(-first, stride) : 0, 0, count);
    const int64_t hi = std::clamp<int64_t>(first < in ? ceil_div(in - first, stride) : 0, lo, count);
    const auto border = [&](int64_t j) {
      const int64_t source = pad_index(p.pad_mode, first + j * stride, in);
      to[j] = source < 0 ? T(0) : from[source * step];
    };
    for (int64_t j = 0; j < lo; ++j) border(j);
    if (stride * step == 1) {
      if (hi > lo) memcpy(to + lo, from + first + lo, (hi - lo) * sizeof(T));
    } else {
      for (int64_t j = lo; j < hi; ++j) to[j] = from[(first + j * stride) * step];
    }
    for (int64_t j = hi; j < count; ++j) border(j);
  }

  // kernel(k, o) of a chunk as a BLAS matrix of depth x outputs, in the buffer's order of k.
  Matrix<T> weights(const Problem& p, const T* packed, const T* kernel, const Chunk& chunk, bool patches) const {
    Matrix<T> m = {nullptr, 0, false};
    if (packed) {
      m = {packed + chunk.k0, p.depth(), false};
    } else {
      int64_t runs = 0;
      kernel_runs(p, kernel, chunk, [&](int64_t, const T* from, int64_t run, ptrdiff_t step) {
        if (step == 1 || run == 1)
          m = {from, p.kernel.output, false};
        else if (p.kernel.output == 1)
          m = {from, step, true};
        ++runs;
      });
      if (runs != 1) m.data = nullptr;
    }
    if (m.data && m.usable(chunk.depth, p.outputs) && (!patches || p.taps() == 1)) return m;
    T* fresh = static_cast<T*>(scratch(kernel_slot, chunk.depth * p.outputs * sizeof(T)));
    if (!fresh) return {nullptr, 0, false};
    const int64_t taps = patches ? p.taps() : 1, channels = chunk.depth / taps;
    for (int64_t o = 0; o < p.outputs; ++o) {
      T* to = fresh + o * chunk.depth;
      const auto place = [&](int64_t k, T value) { to[patches ? k % taps * channels + k / taps : k] = value; };
      if (packed) {
        for (int64_t k = 0; k < chunk.depth; ++k) place(k, packed[o * p.depth() + chunk.k0 + k]);
      } else {
        kernel_runs(p, kernel + o * p.kernel.output, chunk, [&](int64_t k, const T* from, int64_t run, ptrdiff_t step) {
          for (int64_t i = 0; i < run; ++i) place(k + i, from[i * step]);
        });
      }
    }
    return {fresh, chunk.depth, false};
  }

  bool slice(const Problem& p, const ck_operands& o, const Slices<T>& slices, int64_t g, const Block& block,
             const T* packed) const {
    const int64_t rows = block.rows(), outputs = p.outputs;
    const T* image = static_cast<const T*>(o.image.data) + p.image.offset + g * p.image.group;
    const T* kernel = packed ? nullptr : static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
    const T* bias = p.bias_per_output && o.bias ? static_cast<const T*>(o.bias) + g * outputs : nullptr;
    // The sums lie in the result where BLAS can address it there: by pixel, or by output.
    T* result = static_cast<T*>(o.result.data) + first_output(p.result, g, block);
    ptrdiff_t pixel;
    const bool even = even_stride(p.result, block, &pixel);
    const bool by_output = even && p.result.output == 1 && Matrix<T>{result, pixel, false}.usable(outputs, rows);
    const bool by_pixel =
        even && !by_output && pixel == 1 && Matrix<T>{result, p.result.output, false}.usable(rows, outputs);
    T* c = by_output || by_pixel ? result : static_cast<T*>(scratch(sums_slot, rows * outputs * sizeof(T)));
    if (!c) return false;
    const int64_t ldc = by_output ? pixel : by_pixel ? p.result.output : rows;
    if (bias)
      for (int64_t j = 0; j < outputs; ++j)
        for (int64_t i = 0; i < rows; ++i) c[by_output ? i * ldc + j : j * ldc + i] = bias[j];

    const int64_t chunks = slices.chunks.count();
    for (int64_t n = 0; n < chunks; ++n) {
      const Chunk chunk = slices.chunks[n];
      const bool patches = slices.patches;
      const Matrix<T> a = gather(p, image, block, chunk, patches);
      Matrix<T> b = weights(p, packed, kernel, chunk, patches);
      if (!a.data || !b.data) return false;
      const T beta = n > 0 || bias ? T(1) : T(0);
      if (by_output) {
        multiply<T>(outputs, rows, chunk.depth, {b.data, b.ld, !b.transposed}, {a.data, a.ld, !a.transposed}, beta, c,
                    ldc);
      } else {
        multiply<T>(rows, outputs, chunk.depth, a, b, beta, c, ldc);
      }
    }
    if (c == result && !o.residual.data && !spec_.clamp) return true;
    for (int64_t line = 0; line < block.lines(); ++line) {
      finish_line(p, o, g, line_of(block, line), c + line * block.extent[3] * (by_output ? ldc : 1), ldc, by_output);
    }
    return true;
  }

  // One x line of sums: residual, limits, and where the sums are not in the result, the copy there.
  void finish_line(const Problem& p, const ck_operands& o, int64_t g, const Block& line, const T* c, int64_t ldc,
                   bool by_output) const {
    const auto view = [&](auto* data, const Problem::Result& v) {
      data += first_output(v, g, line);
      return by_output ? MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.axis[2], v.output}
                       : MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.output, v.axis[2]};
    };
    const MatrixView<T> out = view(static_cast<T*>(o.result.data), p.result);
    MatrixView<const T> extra = {nullptr, 0, 0};
    if (o.residual.data) extra = view(static_cast<const T*>(o.residual.data), p.residual);
    kernels_.store(c, ldc, by_output ? line.extent[3] : p.outputs, by_output ? p.outputs : line.extent[3], out, extra,
                   spec_.clamp != 0, static_cast<T>(spec_.lo), static_cast<T>(spec_.hi));
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_im2col(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if (!blas_sgemm || !blas_dgemm) return *reason = "no BLAS has been set", nullptr;
  if (phase_count(spec) > most_phases) return *reason = "the stride has too many phases", nullptr;
  const Problem p = lower(spec, canonical_operands(spec), 0);
  if (p.outputs > INT_MAX || p.depth() / std::max<int64_t>(1, p.channels) > INT_MAX)
    return *reason = "BLAS takes 32-bit sizes only", nullptr;
  return std::make_unique<Im2col<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_im2col(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_im2col(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern

extern "C" void ck_set_blas(ck_sgemm sgemm, ck_dgemm dgemm) {
  convkern::blas_sgemm = sgemm;
  convkern::blas_dgemm = dgemm;
}
