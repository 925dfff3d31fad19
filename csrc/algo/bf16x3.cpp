// Every convolution as products of bfloat16 tiles, three for one of float32 (kernels/bf16x3.h):
//   C[r, j] = bias[j] + sum_k A[r, k] B[k, j]     A = A' + A'', B = B' + B''     without A'' B''
// for each block of outputs:  stage its part of the image as two planes of bfloat16 (bf16x3_layout.h),
//   for each 32 rows and panel of 32 outputs: all steps of the sum, then store what are outputs of a line.
// Outputs depend on their own window alone, but a NaN or an infinity may meet the zeros that fill a step, or become a
// difference of infinities: a sample with sums that are not finite is computed anew by `direct`.
#include <stdio.h>

#include <atomic>
#include <type_traits>
#include <vector>

#include "algo/algorithms.h"
#include "algo/bf16x3_layout.h"
#include "algo/redo.h"
#include "runtime/arena.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { stage_slot, line_slot, step_slot, panel_slot, kernel_slot };

constexpr int64_t most_window = int64_t{16} << 20;

// B of one panel of a group, step by step; null where memory is out.
bool pack_columns(const Kernels<float>& kernels, const Problem& p, const Bf16Layout& layout, const float* kernel,
                  int64_t j, uint16_t* b) {
  const int64_t width = layout.columns(p, j) * bf16_columns;
  Chunk chunk = Chunking(p, INT64_MAX, true)[0];
  const int64_t taps_x = chunk.whole[3], outer = chunk.whole[1] * chunk.whole[2];
  // All taps at once where L2 holds them, since they lie side by side; else those of a line.
  const bool whole = p.depth() * width * int64_t{sizeof(float)} <= cpu_info().l2 / 2;
  const int64_t times = whole ? 1 : outer, runs = layout.runs / std::max<int64_t>(1, times);
  float* panel = scratch_of<float>(panel_slot, runs * layout.run * width);
  if (!panel) return false;
  kernel += j * bf16_panel * p.kernel.output;
  const int64_t used = std::min<int64_t>(width, p.outputs - j * bf16_panel);
  for (int64_t line = 0; line < times; ++line) {
    if (!whole) {
      chunk.start[1] = line / p.axis[1].taps, chunk.start[2] = line % p.axis[1].taps;
      chunk.extent[1] = chunk.extent[2] = chunk.whole[1] = chunk.whole[2] = 1;
      chunk.depth = chunk.whole[0] * taps_x;
    }
    pack_panel(kernels, p, kernel, chunk, used, width, panel);
    for (int64_t r = 0; r < runs; ++r)
      for (int64_t s = 0; s < layout.run_steps; ++s, b += 2 * width * bf16_depth)
        kernels.bf16x3.pack(panel + (r * layout.run + s * bf16_depth) * width,
                            std::min<int64_t>(bf16_depth, layout.run - s * bf16_depth), width, b);
  }
  scratch_release(panel_slot);
  return true;
}

const float* kernel_of(const Problem& p, const ck_operands& o, int64_t g) {
  return static_cast<const float*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
}

// One call on one problem: everything the tasks share.
struct Run {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<float>& kernels;
  const Problem& p;
  const Bf16Layout& layout;
  const uint16_t* packed;      // or null: tasks pack their panels
  std::atomic<bool>* tainted;  // per sample

  bool task(int64_t index) const {
    const int64_t blocks = layout.blocks.count();
    const int64_t g = index / (blocks * layout.splits), split = index / blocks % layout.splits;
    const Block block = layout.blocks[index % blocks];
    const Bf16Stage s = layout.stage(p, block.extent);
    const int64_t plane = layout.plane(s), samples = block.extent[0];
    uint16_t* staged = scratch_of<uint16_t>(stage_slot, samples * 2 * plane);
    float* line = scratch_of<float>(line_slot, layout.line_elements(p));
    ptrdiff_t* step = scratch_of<ptrdiff_t>(step_slot, layout.steps);
    uint16_t* fresh = packed ? nullptr : scratch_of<uint16_t>(kernel_slot, layout.panel_elements());
    if (!staged || !line || !step || (!packed && !fresh)) return false;
    for (int64_t b = 0; b < samples; ++b) stage(g, block, b, s, line, staged + 2 * b * plane, plane);
    list_steps(s, step);

    const int64_t first = split * layout.panels / layout.splits, last = (split + 1) * layout.panels / layout.splits;
    kernels.bf16x3.begin();
    Bf16Job job;
    job.row = p.axis[2].stride * layout.pitch;
    job.low = plane;
    job.step = step;
    job.steps = layout.steps;
    const auto rows = [&](int64_t b, int64_t r, int64_t from, int64_t to) {
      const uint16_t* image = staged + 2 * b * plane;
      // The last tile ends where the rows do, if there are enough of them, and repeats some.
      const int64_t latest = std::max<int64_t>(0, s.rows - bf16_rows);
      const int64_t first = std::min(r, latest), second = std::min(r + bf16_rows, latest);
      const bool two = r + bf16_rows < s.rows;
      job.a[0] = image + first * job.row;
      job.a[1] = two ? image + second * job.row : nullptr;
      job.begin[0] = static_cast<int>(r - first);
      job.end[0] = static_cast<int>(std::min<int64_t>(bf16_rows, s.rows - first));
      job.begin[1] = static_cast<int>(r + bf16_rows - second);
      job.end[1] = bf16_rows;
      for (int64_t j = from; j < to; ++j) {
        job.b = packed ? packed + g * layout.kernel_elements() + j * layout.panel_elements() : fresh;
        multiply(g, block, b, s, r, first, two ? second : first, j, job);
      }
    };
    bool ok = true;
    if (layout.columns_outside || !packed) {
      for (int64_t j = first; ok && j < last; ++j) {
        ok = packed || pack_columns(kernels, p, layout, kernel_of(p, operands, g), j, fresh);
        for (int64_t b = 0; ok && b < samples; ++b)
          for (int64_t r = 0; r < s.rows; r += 2 * bf16_rows) rows(b, r, j, j + 1);
      }
    } else {
      for (int64_t b = 0; b < samples; ++b)
        for (int64_t r = 0; r < s.rows; r += 2 * bf16_rows) rows(b, r, first, last);
    }
    kernels.bf16x3.end();
    scratch_release(stage_slot);
    if (!packed) scratch_release(kernel_slot);
    return ok;
  }

  // Sample b of the block: planes of t_z, in each the lines of every residue of the stride along y that taps reach.
  void stage(int64_t g, const Block& block, int64_t b, const Bf16Stage& s, float* line, uint16_t* high,
             int64_t plane) const {
    const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
    const int64_t pitch = layout.pitch, sample = block.start[0] + b;
    const float* image =
        static_cast<const float*>(operands.image.data) + p.image.offset + g * p.image.group + sample * p.image.batch;
    const int64_t x = block.start[3] * ax.stride - ax.pad, height = (block.extent[2] - 1) * ay.stride + 1;
    const bool dense = p.image.channel == 1 && p.channels == pitch && p.image.axis[2] == pitch;
    uint16_t* const low = high + plane;
    const int64_t reach = (block.extent[3] - 1) * ax.stride + 1;
    const auto clear = [&](int64_t from, int64_t to) {
      memset(high + from, 0, (to - from) * sizeof(uint16_t));
      memset(low + from, 0, (to - from) * sizeof(uint16_t));
    };
    int64_t at = 0;
    for (int64_t tz = 0; tz < az.taps; ++tz)
      for (int64_t residue = 0; residue < ay.stride; ++residue)
        for (int64_t l = 0; l < s.lines; ++l, at += s.line * pitch) {
          const int64_t below = l * ay.stride + residue;  // the block's first line of the padded image
          const int64_t iz = pad_index(p.pad_mode, block.start[1] * az.stride + tz * az.dilation - az.pad, az.in);
          const int64_t iy = pad_index(p.pad_mode, block.start[2] * ay.stride + below - ay.pad, ay.in);
          if (iz < 0 || iy < 0 || !reached(below, height, ay)) {
            clear(at, at + s.line * pitch);
            continue;
          }
          const float* from = image + iz * p.image.axis[0] + iy * p.image.axis[1];
          const int64_t lo = std::clamp<int64_t>(-x, 0, s.width), hi = std::clamp<int64_t>(ax.in - x, lo, s.width);
          if (dense && (p.pad_mode == CK_PAD_ZEROS || (lo == 0 && hi == s.width))) {
            clear(at, at + lo * pitch);
            kernels.bf16x3.split(from + (x + lo) * pitch, (hi - lo) * pitch, high + at + lo * pitch,
                                 low + at + lo * pitch);
            clear(at + hi * pitch, at + s.line * pitch);
          } else {
            stage_channels_last(kernels, p, image,
                                {0,
                                 1,
                                 0,
                                 p.channels,
                                 {block.start[1] * az.stride + tz * az.dilation - az.pad,
                                  block.start[2] * ay.stride + below - ay.pad, x},
                                 {1, 1, s.width}},
                                pitch, line);
            kernels.bf16x3.split(line, s.width * pitch, high + at, low + at);
            clear(at + s.width * pitch, at + s.line * pitch);
          }
          // What no window reads may not meet the zeros that fill a step either: a NaN there would spoil sums or not,
          // as the blocks are cut.
          for (int64_t i = 0; layout.gaps && i < s.width; ++i)
            if (!reached(i, reach, ax)) clear(at + i * pitch, at + (i + 1) * pitch);
        }
    clear(at, plane);
  }

  // Whether some output of the block reads the line, or the column, `i`: of a stride beyond the kernel, many are not.
  // `reach`: one past where the last output begins to read.
  static bool reached(int64_t i, int64_t reach, const Axis& axis) {
    for (int64_t t = 0; t < axis.taps; ++t) {
      const int64_t q = i - t * axis.dilation;
      if (q >= 0 && q < reach && q % axis.stride == 0) return true;
    }
    return false;
  }

  // Where the terms of each step begin, from a row's first pixel.
  void list_steps(const Bf16Stage& s, ptrdiff_t* step) const {
    const Axis &y = p.axis[1], &x = p.axis[2];
    const int64_t per_line = layout.along_x ? 1 : x.taps;
    for (int64_t tz = 0; tz < p.axis[0].taps; ++tz)
      for (int64_t ty = 0; ty < y.taps; ++ty) {
        const int64_t below = ty * y.dilation;
        const int64_t line = (tz * y.stride + below % y.stride) * s.lines + below / y.stride;
        for (int64_t tx = 0; tx < per_line; ++tx)
          for (int64_t i = 0; i < layout.run_steps; ++i)
            *step++ = (line * s.line + tx * x.dilation) * layout.pitch + i * bf16_depth;
      }
  }

  // Tiles of the rows from `first` and from `second` on, with panel j; those from r on that are outputs into the
  // result.
  void multiply(int64_t g, const Block& block, int64_t b, const Bf16Stage& s, int64_t r, int64_t first, int64_t second,
                int64_t j, Bf16Job& job) const {
    alignas(64) float c[2 * bf16_rows * bf16_panel];
    alignas(64) float bias[bf16_panel];
    const int columns = layout.columns(p, j);
    const int64_t start = j * bf16_panel, used = std::min<int64_t>(columns * bf16_columns, p.outputs - start);
    job.columns = columns;
    job.used = static_cast<int>(used);
    job.bias = nullptr;
    if (p.bias_per_output && operands.bias) {
      const float* given = static_cast<const float*>(operands.bias) + g * p.outputs + start;
      for (int64_t l = 0; l < bf16_panel; ++l) bias[l] = l < used ? given[l] : 0.0f;
      job.bias = bias;
    }
    job.c = c;
    job.ldc = bf16_panel;
    kernels.bf16x3.multiply(job);

    const int64_t line = s.line / p.axis[2].stride, end = std::min(second + bf16_rows, s.rows);
    Block at = block;
    at.start[0] += b;
    bool finite = true;
    for (int64_t i = r, next; i < end; i = next) {
      const int64_t y = i / line, x = i % line;
      next = std::min({end, (y + 1) * line, i < r + bf16_rows ? r + bf16_rows : end});
      const int64_t count = std::min(next - i, block.extent[3] - x);
      if (count <= 0) continue;
      const float* from = c + (i < r + bf16_rows ? i - first : i - second + bf16_rows) * bf16_panel;
      at.start[2] = block.start[2] + y;
      at.start[3] = block.start[3] + x;
      finite &= kernels.bf16x3.finite(from, bf16_panel, count, used);
      const auto view = [&](auto* data, const Problem::Result& v) {
        if (data) data += first_output(v, g, at) + start * v.output;
        return MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.axis[2], v.output};
      };
      kernels.store(from, bf16_panel, count, used, view(static_cast<float*>(operands.result.data), p.result),
                    view(static_cast<const float*>(operands.residual.data), p.residual), spec.clamp != 0,
                    static_cast<float>(spec.lo), static_cast<float>(spec.hi));
    }
    if (!finite) tainted[at.start[0]].store(true, std::memory_order_relaxed);
  }
};

class Bf16x3 final : public Algorithm {
 public:
  Bf16x3(const ck_spec& spec, const Kernels<float>& kernels) : spec_(spec), kernels_(kernels), redo_(spec, kernels) {
    const ck_operands canonical = canonical_operands(spec);
    for (int64_t i = 0; i < phase_count(spec); ++i) {
      starts_.push_back(elements_);
      const Problem p = problem(canonical, i);
      elements_ += p.groups * Bf16Layout(p, 1).kernel_elements();
    }
  }

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(elements_ * int64_t{sizeof(uint16_t)})) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    for (int64_t i = 0; i < phase_count(spec_); ++i)
      if (!pack_phase(problem(o, i), o, reinterpret_cast<uint16_t*>(packed_.data) + starts_[i]))
        return CK_OUT_OF_MEMORY;
    return redo_.pack(kernel);
  }

  ck_status run(const ck_operands& o) const override {
    if (phases_leave_gaps(spec_)) fill_with_bias<float>(spec_, o);
    std::atomic<bool>* tainted = redo_.marks();
    if (!tainted) return CK_OUT_OF_MEMORY;
    for (int64_t i = 0; i < phase_count(spec_); ++i) {
      const Problem p = problem(o, i);
      if (p.pixels() == 0) continue;
      const Bf16Layout layout(p, num_threads());
      const uint16_t* packed = o.kernel.data ? nullptr : reinterpret_cast<const uint16_t*>(packed_.data) + starts_[i];
      if (o.kernel.data && layout.blocks.count() > 1) {  // several blocks use a panel: pack it once for this call
        uint16_t* fresh = scratch_of<uint16_t>(kernel_slot, p.groups * layout.kernel_elements());
        if (!fresh || !pack_phase(p, o, fresh)) return CK_OUT_OF_MEMORY;
        packed = fresh;
      }
      const Run run{spec_, o, kernels_, p, layout, packed, tainted};
      std::atomic<bool> failed{false};
      parallel_for(p.groups * layout.blocks.count() * layout.splits, layout.threads, [&](int64_t task, int) {
        if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
      });
      scratch_release(kernel_slot);
      if (failed.load()) return CK_OUT_OF_MEMORY;
    }
    return redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    int64_t most = 0;
    for (int64_t i = 0; i < phase_count(spec_); ++i) {
      const Problem p = problem(canonical_operands(spec_), i);
      if (p.pixels() == 0) continue;
      const Bf16Layout l(p, num_threads());
      most = std::max(most, std::min<int64_t>(l.threads, p.groups * l.blocks.count() * l.splits) * l.bytes(p));
    }
    return most;
  }
  int64_t packed_bytes() const override { return packed_.bytes + redo_.packed_bytes(); }

  void detail(char* text, size_t size) const override {
    const Problem p = problem(canonical_operands(spec_), 0);
    const Bf16Layout l(p, num_threads());
    const Bf16Stage s = l.stage(p, l.blocks.largest().extent);
    snprintf(text, size, "%lld steps of 32, %lld blocks of %lld rows x %lld splits, lines of %lld pixels%s",
             static_cast<long long>(l.steps), static_cast<long long>(p.groups * l.blocks.count()),
             static_cast<long long>(s.rows * l.blocks.piece(0)), static_cast<long long>(l.splits),
             static_cast<long long>(s.line), phase_count(spec_) > 1 ? ", by phases" : "");
  }

 private:
  Problem problem(const ck_operands& o, int64_t phase) const { return without_gaps(lower(spec_, o, phase)); }

  bool pack_phase(const Problem& p, const ck_operands& o, uint16_t* to) const {
    const Bf16Layout layout(p, 1);
    std::atomic<bool> failed{false};
    const int threads = p.groups * p.outputs * p.depth() > 65536 ? num_threads() : 1;
    parallel_for(p.groups * layout.panels, threads, [&](int64_t task, int) {
      const int64_t g = task / layout.panels, j = task % layout.panels;
      if (!pack_columns(kernels_, p, layout, kernel_of(p, o, g), j,
                        to + g * layout.kernel_elements() + j * layout.panel_elements()))
        failed.store(true, std::memory_order_relaxed);
    });
    return !failed.load();
  }

  ck_spec spec_;
  const Kernels<float>& kernels_;
  std::vector<int64_t> starts_;  // of each phase's packed kernel, elements
  int64_t elements_ = 0;
  Buffer packed_;
  Redo<float> redo_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_bf16x3(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if constexpr (!std::is_same_v<T, float>) {
    return *reason = "float32 only", nullptr;
  } else {
    if (spec.direction == CK_GRAD_WEIGHT) return *reason = "not for the weight gradient", nullptr;
    if (phase_count(spec) > 64) return *reason = "the stride has too many phases", nullptr;
    for (int64_t i = 0; i < phase_count(spec); ++i)
      if (bf16_window_bytes(without_gaps(lower(spec, canonical_operands(spec), i))) > most_window)
        return *reason = "a window takes more than 16 MB", nullptr;
    return std::make_unique<Bf16x3>(spec, kernels);
  }
}
template std::unique_ptr<Algorithm> make_bf16x3(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_bf16x3(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
