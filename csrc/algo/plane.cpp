// One output channel a group (an image filter, a plane): several output lines are the rows of a tile, pixels its lanes.
//   C[l, x] = sum_{c,z,r,t} image[c, z, y + r, x*stride + t*dilation - pad] * padded[l][c,z,r,t],   padded[l][r] =
//   kernel[r - l]
// Line l sees input line r through kernel line r - l, zero where there is none, so each loaded pixel serves all lines
// of the tile. The zeros would spread a NaN or an infinity by a few lines; samples where one appears are redone by
// `direct`.
#include <math.h>
#include <stdio.h>

#include "algo/redo.h"
#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { stage_slot, table_slot, sums_slot, kernel_slot = 5 };

constexpr int64_t most_depth = 1 << 16;

// Whether all are finite: no exponent is all ones.
template <class T>
bool all_finite(const T* c, int64_t ldc, int64_t rows, int64_t columns) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr Bits exponent = sizeof(T) == 4 ? Bits{0x7f800000} : static_cast<Bits>(0x7ff0000000000000);
  Bits bad = 0;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      Bits bits;
      memcpy(&bits, c + i * ldc + j, sizeof bits);
      bad |= (bits & exponent) == exponent;
    }
  return bad == 0;
}

// Tile and blocks for one lowered problem.
template <class T>
struct Layout {
  int shape;
  int64_t lines;  // of outputs in a tile
  Region blocks;
  int threads;

  Layout(const Kernels<T>& kernels, const Problem& p, int max_threads)
      : shape(0), lines(1), blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)), threads(1) {
    double best = INFINITY;
    // What this shape and the narrower ones, which end a line, all have; one tap along y leaves nothing to share.
    int64_t most_lines = p.axis[1].taps == 1 ? 1 : p.axis[1].out;
    for (int i = 0; i < kernels.shapes; ++i) {
      most_lines = std::min<int64_t>(most_lines, kernels.tile[i].rows);
      for (int64_t l = 1; l <= most_lines; ++l) {
        const Panels<T> panels(kernels, kernels.tile[i], p.axis[2].out);
        const double step = step_cycles(static_cast<double>(l), kernels.tile[i].vectors, 3.0 * kernels.tile[i].vectors);
        const double cycles =
            static_cast<double>((p.axis[1].taps + l - 1) * panels.panels) * step / static_cast<double>(l);
        if (cycles < best) best = cycles, shape = i, lines = l;
      }
    }
    const int64_t most_bytes = cpu_info().l2 / 3, element = sizeof(T);
    const auto bytes = [&] {
      const Box box = touched(p, blocks.largest(), Chunking(p, INT64_MAX)[0]);
      return box.channels * box.count[0] * box.count[1] * box.count[2] * element;
    };
    blocks.set(3, even_piece(blocks.extent[3], 2048));
    while (blocks.piece(3) > 64 && bytes() > most_bytes)
      blocks.set(3, even_piece(blocks.extent[3], blocks.piece(3) / 2));
    for (int64_t n = ceil_div(blocks.extent[2], lines); n >= 1; n = n / 2) {  // tiles of lines in a block
      blocks.set(2, n * lines);
      if (bytes() <= most_bytes || n == 1) break;
    }
    const double work = best * static_cast<double>(p.groups * p.batch * p.pixels()) /
                        static_cast<double>(p.axis[2].out) *
                        static_cast<double>(p.depth() / std::max<int64_t>(1, p.axis[1].taps));
    if (work < 30000) return;
    threads = max_threads;
    for (int64_t n = 2 * blocks.parts[2]; n <= blocks.extent[2] / lines; n *= 2) {
      if (p.groups * blocks.count() >= 4 * threads) break;
      blocks.cut(2, n);
    }
  }
  int64_t stacked_taps(const Problem& p) const { return p.axis[1].taps + lines - 1; }
  int64_t depth(const Problem& p) const { return p.depth() / p.axis[1].taps * stacked_taps(p); }
  int64_t bytes(const Kernels<T>& kernels, const Problem& p) const {
    const Box box = touched(p, blocks.largest(), Chunking(p, INT64_MAX)[0]);
    const int64_t width = kernels.tile[shape].vectors * kernels.lanes;
    const int64_t stage =
        box.channels * box.count[0] * (box.count[1] + lines) * (box.count[2] + p.axis[2].stride) + width;
    return (stage + lines * width) * int64_t{sizeof(T)} + depth(p) * int64_t{sizeof(Tap)};
  }
};

template <class T>
struct Run {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const Problem& p;
  const Layout<T>& layout;
  const T* packed;  // [group][line][depth]
  std::atomic<bool>* tainted;

  bool task(int64_t index) const {
    const bool ok = block(index);
    scratch_release(stage_slot);
    return ok;
  }

  bool block(int64_t index) const {
    const int64_t g = index / layout.blocks.count(), lines = layout.lines, depth = layout.depth(p);
    const Block block = layout.blocks[index % layout.blocks.count()];
    const TileShape<T>& shape = kernels.tile[layout.shape];
    const Panels<T> panels(kernels, shape, block.extent[3]);
    Tap* tap = scratch_of<Tap>(table_slot, depth);
    T* sums = scratch_of<T>(sums_slot, lines * panels.width(0));
    if (!tap || !sums) return false;

    const Chunk all = Chunking(p, INT64_MAX)[0];
    Box box = touched(p, block, all);
    const T* image = static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group;
    // Whole tiles read lines, and whole vectors read pixels, beyond what is used: in place only where those exist.
    const bool in_place = block.extent[2] % lines == 0 && block.extent[3] % kernels.lanes == 0 &&
                          p.image.axis[2] == 1 && p.axis[2].stride == 1 && inside(p, box);
    box.count[1] += lines - 1;
    const StagedLayout staged = staged_layout(StagedLayout::x, box, p.axis[2].stride, panels.width(0), sizeof(T));
    if (!in_place) {
      T* to = scratch_of<T>(stage_slot, staged.elements);
      if (!to) return false;
      stage(kernels, p, image, box, staged, to);
      image = to;
    }
    const ImageView<T> v = in_place ? ImageView<T>(p, image, box) : ImageView<T>(p, image, staged);
    Chunk stacked = all;
    stacked.extent[2] = stacked.whole[2] = layout.stacked_taps(p);
    TileJob<T> job = {};
    v.list(stacked, false, sizeof(T), tap, &job);

    const char* row[max_tile_rows];
    T bias[max_tile_rows];
    const T* given = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    for (int64_t l = 0; l < lines; ++l) {
      row[l] = reinterpret_cast<const char*>(packed + (g * lines + l) * depth);
      bias[l] = given ? given[g] : T(0);
    }
    job.start = given ? Start::row_bias : Start::zero;
    job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    for (int64_t i = 0; i < block.extent[0] * block.extent[1]; ++i)
      for (int64_t y = 0; y < block.extent[2]; y += lines) {
        const Block at = line_of(block, i * block.extent[2] + y);
        const int64_t rows = std::min(lines, block.extent[2] - y);
        for (int64_t j = 0; j < panels.panels; ++j) {
          const int64_t used = panels.used(j), width = panels.width(j), x = panels.start(j);
          const auto view = [&](auto* data, const Problem::Result& r) {
            if (data) data += first_output(r, g, at) + x * r.axis[2];
            return MatrixView<std::remove_reference_t<decltype(*data)>>{data, r.axis[1], r.axis[2]};
          };
          const MatrixView<T> out = view(static_cast<T*>(operands.result.data), p.result);
          const MatrixView<const T> extra = view(static_cast<const T*>(operands.residual.data), p.residual);
          const bool plain = out.column == 1 && used == width && !extra.data;
          T* c = plain ? out.data : sums;
          const int64_t ldc = plain ? out.row : width;
          job.ldc = ldc * ptrdiff_t{sizeof(T)};
          job.clamp = spec.clamp && plain;
          panels.shape(j).run[rows](job, row,
                                    reinterpret_cast<const char*>(v.base + v.line(block, i * block.extent[2] + y) + x),
                                    reinterpret_cast<char*>(c), bias);
          if (!all_finite(c, ldc, rows, used)) tainted[at.start[0]].store(true, std::memory_order_relaxed);
          if (!plain) kernels.store(c, ldc, rows, used, out, extra, spec.clamp != 0, job.lo, job.hi);
        }
      }
    return true;
  }
};

template <class T>
class Plane final : public Algorithm {
 public:
  Plane(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels), redo_(spec, kernels) {}

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(kernel_elements() * int64_t{sizeof(T)})) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    T* to = reinterpret_cast<T*>(packed_.data);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) to = pack_phase(lower(spec_, o, phase), o, to);
    return redo_.pack(kernel);
  }

  ck_status run(const ck_operands& o) const override {
    if (phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    std::atomic<bool>* tainted = redo_.marks();
    T* packed = reinterpret_cast<T*>(packed_.data);
    if (o.kernel.data) packed = scratch_of<T>(kernel_slot, kernel_elements());
    if (!tainted || !packed) return CK_OUT_OF_MEMORY;
    std::atomic<bool> failed{false};
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      const Layout<T> layout(kernels_, p, num_threads());
      T* next = o.kernel.data ? pack_phase(p, o, packed) : packed + p.groups * layout.lines * layout.depth(p);
      if (p.pixels() > 0) {
        const Run<T> run{spec_, o, kernels_, p, layout, packed, tainted};
        parallel_for(p.groups * layout.blocks.count(), layout.threads, [&](int64_t task, int) {
          if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
        });
      }
      packed = next;
    }
    scratch_release(kernel_slot);
    return failed.load() ? CK_OUT_OF_MEMORY : redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    int64_t most = 0;
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, canonical_operands(spec_), phase);
      if (p.pixels() == 0) continue;
      const Layout<T> layout(kernels_, p, num_threads());
      most = std::max(most,
                      std::min<int64_t>(layout.threads, p.groups * layout.blocks.count()) * layout.bytes(kernels_, p));
    }
    return most;
  }
  int64_t packed_bytes() const override { return packed_.bytes + redo_.packed_bytes(); }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Layout<T> l(kernels_, p, num_threads());
    snprintf(text, size, "tile of %lld lines x %d vectors, %lld blocks", static_cast<long long>(l.lines),
             kernels_.tile[l.shape].vectors, static_cast<long long>(p.groups * l.blocks.count()));
  }

 private:
  int64_t kernel_elements() const {
    int64_t elements = 0;
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, canonical_operands(spec_), phase);
      const Layout<T> layout(kernels_, p, num_threads());
      elements += p.groups * layout.lines * layout.depth(p);
    }
    return elements;
  }

  // The kernel of each group once a line of the tile, shifted down by that many lines; returns what follows.
  T* pack_phase(const Problem& p, const ck_operands& o, T* to) const {
    const Layout<T> layout(kernels_, p, num_threads());
    const int64_t taps_y = p.axis[1].taps, taps_x = p.axis[2].taps, planes = p.channels * p.axis[0].taps;
    for (int64_t g = 0; g < p.groups; ++g) {
      const T* kernel = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
      for (int64_t l = 0; l < layout.lines; ++l)
        for (int64_t plane = 0; plane < planes; ++plane)
          for (int64_t r = 0; r < layout.stacked_taps(p); ++r) {
            const bool there = r >= l && r - l < taps_y;
            const T* from = kernel + plane / p.axis[0].taps * p.kernel.channel +
                            plane % p.axis[0].taps * p.kernel.axis[0] + (there ? r - l : 0) * p.kernel.axis[1];
            for (int64_t x = 0; x < taps_x; ++x) *to++ = there ? from[x * p.kernel.axis[2]] : T(0);
          }
    }
    return to;
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Redo<T> redo_;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_plane(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if (spec.direction == CK_GRAD_WEIGHT) return *reason = "not for the weight gradient", nullptr;
  if ((spec.direction == CK_FORWARD ? spec.co : spec.ci) != spec.groups)
    return *reason = "for one output channel a group only", nullptr;
  if (phase_count(spec) > most_phases) return *reason = "the stride has too many phases", nullptr;
  for (int64_t phase = 0; phase < phase_count(spec); ++phase) {
    const Problem p = lower(spec, canonical_operands(spec), phase);
    if (p.axis[1].taps > 1 && (p.axis[1].stride != 1 || p.axis[1].dilation != 1))
      return *reason = "for stride 1 and dilation 1 along y only", nullptr;
    if (p.axis[1].out > 1 && p.axis[1].stride != 1)
      return *reason = "for stride 1 and dilation 1 along y only", nullptr;
    if (p.depth() == 0 || p.depth() / p.axis[1].taps * (p.axis[1].taps + max_tile_rows) > most_depth)
      return *reason = "for at most 65536 terms a sum", nullptr;
  }
  auto plane = std::make_unique<Plane<T>>(spec, kernels);
  return plane;
}
template std::unique_ptr<Algorithm> make_plane(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_plane(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
