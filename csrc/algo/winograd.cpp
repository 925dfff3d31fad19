// Winograd F(m x m, 3 x 3) for stride 1: a block of t x t image patches (t = m + 2) is transformed, multiplied point by
// point with the transformed kernel by the one loop nest (rows: patches, sum over channels), and transformed back.
//   V[p][tile][c] = B^T d B      M[p][tile][o] = sum_c V[p][tile][c] U[p][c][o]      Y = A^T M A
// A block's V, M and Y stay near L2. A patch inside a channels-last image is read in place, others are staged.
// A sample in which a NaN or an infinity appears is computed anew by `direct`, so that they reach no other output.
#include <stdio.h>

#include <atomic>
#include <vector>

#include "algo/redo.h"
#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { patch_slot, table_slot, input_slot, sums_slot, taps_slot, kernel_slot };

// How tiles (samples, -, rows of tiles, columns of tiles) are cut into blocks, and the sizes that follow.
template <class T>
struct Layout {
  int m, t, points;
  Panels<T> panels;
  Region tiles;
  int64_t splits;         // parts that the panels of a block are shared out in
  int64_t channel_pitch;  // of a tile in V
  int threads;

  Layout(const Kernels<T>& kernels, const WinogradKernels<T>& winograd, const Problem& p, int max_threads)
      : m(winograd.m),
        t(m + 2),
        points(t * t),
        panels(kernels, kernels.tile[kernels.shapes - 1], p.outputs),
        tiles(all_outputs(p, ceil_div(p.axis[1].out, m), ceil_div(p.axis[2].out, m))),
        splits(1),
        channel_pitch(spread_pitch(round_up(p.channels, kernels.lanes), sizeof(T))),
        threads(max_threads) {
    // The narrowest main tile that wastes no more lanes than the widest.
    for (int i = kernels.shapes - 1; i >= 0; --i) {
      const Panels<T> other(kernels, kernels.tile[i], p.outputs);
      if (other.padded() < panels.padded()) panels = other;
    }
    const int64_t l2 = cpu_info().l2, width = panels.width(0);
    const int64_t tile_bytes = points * (channel_pitch + width) * int64_t{sizeof(T)};
    const int64_t kernel_bytes = points * p.channels * panels.padded() * int64_t{sizeof(T)};
    // A transformed kernel that streams from L3 needs enough tiles to work on meanwhile.
    const int64_t fewest = kernel_bytes > l2 / 2 ? 42 : 14;
    const int64_t most = std::clamp<int64_t>(l2 / 2 / tile_bytes, fewest, 112);
    tiles.set(3, even_piece(tiles.extent[3], most));
    if (tiles.parts[3] == 1) tiles.set(2, even_piece(tiles.extent[2], std::max<int64_t>(1, most / tiles.rows())));
    if (tiles.parts[3] == 1 && tiles.parts[2] == 1)
      tiles.set(0, even_piece(tiles.extent[0], std::max<int64_t>(1, most / tiles.rows())));
    if (threads == 1) return;
    const int64_t blocks = p.groups * tiles.count();
    if (blocks < 2 * threads && kernel_bytes > l2) {
      splits = std::min(panels.panels, ceil_div(threads, blocks));
      if (splits * blocks % threads == 0) return;
      splits = 1;
    }
    // An even share for every thread.
    for (int64_t n = tiles.parts[2]; n <= tiles.extent[2] && n < tiles.parts[2] + threads; ++n) {
      if (p.groups * (tiles.count() / tiles.parts[2]) * n % threads != 0) continue;
      tiles.cut(2, n);
      break;
    }
  }

  // Distances between transform points: never a multiple of a large power of two.
  int64_t input_point() const { return tiles.rows() * channel_pitch + 16; }
  int64_t sums_point() const { return tiles.rows() * panels.width(0) + 16; }
  int64_t patch_elements() const { return t * (tiles.piece(3) * m + 2) * channel_pitch; }
  int64_t output_elements() const { return tiles.rows() * m * m * panels.width(0); }
  // U[point][c][o] of panel j of a group: points lie kernel_point(j) apart, the panel starts at kernel_start(j).
  int64_t kernel_point(const Problem& p, int64_t j) const { return p.channels * panels.width(j) + 16; }
  int64_t kernel_start(const Problem& p, int64_t j) const { return points * (p.channels * panels.start(j) + 16 * j); }
  int64_t kernel_elements(const Problem& p) const {
    return points * (p.channels * panels.padded() + 16 * panels.panels);
  }
  int64_t bytes(const Problem& p) const {
    return (patch_elements() + points * (input_point() + sums_point()) + output_elements()) * int64_t{sizeof(T)} +
           points * tiles.rows() * int64_t{sizeof(char*)} + p.channels * int64_t{sizeof(Tap)};
  }
};

// U[p][c][o] of one panel of a group: packed as rows (c, tap), some channels at a time, and transformed.
template <class T>
bool transform_panel(const Kernels<T>& kernels, const WinogradKernels<T>& winograd, const Problem& p, const T* kernel,
                     const Layout<T>& layout, int64_t j, T* u) {
  constexpr int64_t most = 16;  // channels at a time
  const Panels<T>& panels = layout.panels;
  const int64_t w = panels.width(j);
  T* taps = scratch_of<T>(taps_slot, most * 9 * w);
  if (!taps) return false;
  Chunk chunk = Chunking(p, INT64_MAX)[0];
  for (int64_t c = 0; c < p.channels; c += most) {
    const int64_t n = std::min(most, p.channels - c);
    chunk.start[0] = c;
    chunk.extent[0] = chunk.whole[0] = n;
    pack_panel(kernels, p, kernel + panels.start(j) * p.kernel.output, chunk, panels.used(j), w, taps);
    for (int64_t i = 0; i < n; ++i)
      winograd.filter(taps + i * 9 * w, w, w / kernels.lanes, u + (c + i) * w, layout.kernel_point(p, j));
  }
  return true;
}

// What a thread transformed last for itself, so that it does so once a call and not once a block.
struct OwnKernel {
  uint64_t call;
  int64_t group, split;
};
thread_local OwnKernel own_kernel = {0, 0, 0};
std::atomic<uint64_t> calls{0};

// One call on one problem: everything the tasks share.
template <class T>
struct Run {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const WinogradKernels<T>& winograd;
  const Problem& p;
  const Layout<T>& layout;
  const T* packed;             // transformed kernel, all groups; null: each thread transforms what it uses
  uint64_t call;               // number of this call, never 0
  std::atomic<bool>* tainted;  // per sample: a NaN or an infinity appeared

  bool task(int64_t index) const {
    const int64_t blocks = layout.tiles.count(), panels = layout.panels.panels;
    const int64_t g = index / (blocks * layout.splits), split = index / blocks % layout.splits;
    const Block block = layout.tiles[index % blocks];
    const int64_t rows = block.rows(), columns = block.extent[3], depth = p.channels;
    T* patch = scratch_of<T>(patch_slot, layout.patch_elements());
    T* input = scratch_of<T>(input_slot, layout.points * layout.input_point());
    T* sums = scratch_of<T>(sums_slot, layout.points * layout.sums_point() + layout.output_elements());
    char* table = static_cast<char*>(scratch(table_slot, layout.points * rows * sizeof(char*) + depth * sizeof(Tap)));
    if (!patch || !input || !sums || !table) return false;
    T* output = sums + layout.points * layout.sums_point();

    const T* group_kernel = packed ? packed + g * layout.kernel_elements(p) : transform_own(g, split);
    if (!group_kernel) return false;
    transform_input(g, block, patch, input);
    const char** row = reinterpret_cast<const char**>(table);
    for (int64_t point = 0; point < layout.points; ++point)
      for (int64_t i = 0; i < rows; ++i)
        row[point * rows + i] =
            reinterpret_cast<const char*>(input + point * layout.input_point() + i * layout.channel_pitch);
    Tap* tap = reinterpret_cast<Tap*>(row + layout.points * rows);
    int64_t tap_width = 0;
    for (int64_t j = split * panels / layout.splits; j < (split + 1) * panels / layout.splits; ++j) {
      const int64_t w = layout.panels.width(j);
      if (w != tap_width)
        for (int64_t c = 0; c < depth; ++c) tap[c] = {c * ptrdiff_t{sizeof(T)}, c * w * ptrdiff_t{sizeof(T)}};
      tap_width = w;
      TileJob<T> job = {};
      job.taps = tap;
      job.depth = depth;
      job.ldc = w * ptrdiff_t{sizeof(T)};
      job.start = Start::zero;
      const T* kernel = group_kernel + layout.kernel_start(p, j);
      for (int64_t point = 0; point < layout.points; ++point)
        multiply_panel(layout.panels.shape(j), job, row + point * rows, rows,
                       reinterpret_cast<const char*>(kernel + point * layout.kernel_point(p, j)),
                       sums + point * layout.sums_point(), static_cast<const T*>(nullptr));
      for (int64_t line = 0; line < block.lines(); ++line)
        store_line(g, block, line, j, sums + line * columns * w, output);
    }
    return true;
  }

  // The panels of a split in this thread's own memory: sharing them would cost more than doing them again.
  const T* transform_own(int64_t g, int64_t split) const {
    T* own = scratch_of<T>(kernel_slot, layout.kernel_elements(p));
    if (!own) return nullptr;
    OwnKernel& done = own_kernel;
    if (done.call == call && done.group == g && done.split == split) return own;
    const T* kernel = static_cast<const T*>(operands.kernel.data) + p.kernel.offset + g * p.kernel.group;
    const int64_t panels = layout.panels.panels;
    for (int64_t j = split * panels / layout.splits; j < (split + 1) * panels / layout.splits; ++j)
      if (!transform_panel(kernels, winograd, p, kernel, layout, j, own + layout.kernel_start(p, j))) return nullptr;
    done = {call, g, split};
    return own;
  }

  Box patch_box(int64_t y, int64_t x, int64_t columns) const {
    return {0, 1, 0, p.channels, {0, y, x}, {1, layout.t, columns}};
  }

  void transform_input(int64_t g, const Block& block, T* patch, T* input) const {
    const int64_t columns = block.extent[3], m = layout.m, t = layout.t;
    const int64_t vectors = ceil_div(p.channels, kernels.lanes), point = layout.input_point();
    const bool channels_last = p.image.channel == 1 && p.channels % kernels.lanes == 0;
    for (int64_t line = 0; line < block.lines(); ++line) {
      const int64_t b = block.start[0] + line / block.extent[2], ty = block.start[2] + line % block.extent[2];
      const T* image =
          static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group + b * p.image.batch;
      const int64_t y = ty * m - p.axis[1].pad, first = block.start[3] * m - p.axis[2].pad, width = columns * m + 2;
      if (!channels_last)
        stage_channels_last(kernels, p, image, patch_box(y, first, width), layout.channel_pitch, patch);
      for (int64_t i = 0; i < columns; ++i, input += layout.channel_pitch) {
        const int64_t x = first + i * m;
        if (!channels_last) {
          winograd.input(patch + i * m * layout.channel_pitch, width * layout.channel_pitch, layout.channel_pitch,
                         vectors, input, point);
        } else if (y >= 0 && x >= 0 && y + t <= p.axis[1].in && x + t <= p.axis[2].in) {
          winograd.input(image + y * p.image.axis[1] + x * p.image.axis[2], p.image.axis[1], p.image.axis[2], vectors,
                         input, point);
        } else {
          stage_channels_last(kernels, p, image, patch_box(y, x, t), layout.channel_pitch, patch);
          winograd.input(patch, t * layout.channel_pitch, layout.channel_pitch, vectors, input, point);
        }
      }
    }
  }

  // Transforms one line of tiles back and stores its m lines of outputs for panel j.
  void store_line(int64_t g, const Block& block, int64_t line, int64_t j, const T* sums, T* output) const {
    const Panels<T>& panels = layout.panels;
    const int64_t m = layout.m, w = panels.width(j), used = panels.used(j), columns = block.extent[3];
    const int64_t b = block.start[0] + line / block.extent[2], ty = block.start[2] + line % block.extent[2];
    T bias[max_panel_lanes];
    const T* given = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    for (int64_t l = 0; l < w; ++l) bias[l] = given && l < used ? given[g * p.outputs + panels.start(j) + l] : T(0);
    bool finite = true;
    for (int64_t i = 0; i < columns; ++i)
      finite &= winograd.output(sums + i * w, layout.sums_point(), w / kernels.lanes, given ? bias : nullptr,
                                output + i * m * w, columns * m * w, w);
    if (!finite) tainted[b].store(true, std::memory_order_relaxed);
    const int64_t x = block.start[3] * m, count = std::min(columns * m, p.axis[2].out - x);
    const auto at = [&](auto* data, const Problem::Result& view, int64_t y) {
      if (data)
        data += view.offset + g * view.group + b * view.batch + (panels.start(j)) * view.output + y * view.axis[1] +
                x * view.axis[2];
      return MatrixView<std::remove_reference_t<decltype(*data)>>{data, view.axis[2], view.output};
    };
    for (int64_t i = 0; i < m && ty * m + i < p.axis[1].out; ++i)
      kernels.store(output + i * columns * m * w, w, count, used,
                    at(static_cast<T*>(operands.result.data), p.result, ty * m + i),
                    at(static_cast<const T*>(operands.residual.data), p.residual, ty * m + i), spec.clamp != 0,
                    static_cast<T>(spec.lo), static_cast<T>(spec.hi));
  }
};

template <class T>
class Winograd final : public Algorithm {
 public:
  Winograd(const ck_spec& spec, const Kernels<T>& kernels, const WinogradKernels<T>& winograd)
      : spec_(spec), kernels_(kernels), winograd_(winograd), redo_(spec, kernels) {}

  ck_status pack(const ck_array& kernel) override {
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    const Problem p = lower(spec_, o, 0);
    const Layout<T> layout(kernels_, winograd_, p, num_threads());
    if (!packed_.allocate(p.groups * layout.kernel_elements(p) * int64_t{sizeof(T)})) return CK_OUT_OF_MEMORY;
    if (!transform_kernel(p, o, layout, reinterpret_cast<T*>(packed_.data))) return CK_OUT_OF_MEMORY;
    return redo_.pack(kernel);
  }

  ck_status run(const ck_operands& o) const override {
    const Problem p = lower(spec_, o, 0);
    const Layout<T> layout(kernels_, winograd_, p, num_threads());
    const T* packed = reinterpret_cast<const T*>(packed_.data);
    // Few threads, or little to do: each for itself. Lines that one core wrote come slowly to another.
    const int64_t kernel_bytes = layout.kernel_elements(p) * int64_t{sizeof(T)};
    const bool own = layout.threads <= 4 ? kernel_bytes <= (int64_t{16} << 20) : kernel_bytes <= (int64_t{512} << 10);
    if (o.kernel.data && own) {
      packed = nullptr;
    } else if (o.kernel.data) {
      T* fresh = scratch_of<T>(kernel_slot, p.groups * layout.kernel_elements(p));
      if (!fresh || !transform_kernel(p, o, layout, fresh)) return CK_OUT_OF_MEMORY;
      packed = fresh;
    }
    std::atomic<bool>* tainted = redo_.marks();
    if (!tainted) return CK_OUT_OF_MEMORY;
    const Run<T> run{spec_, o, kernels_, winograd_, p, layout, packed, ++calls, tainted};
    std::atomic<bool> failed{false};
    parallel_for(p.groups * layout.tiles.count() * layout.splits, layout.threads, [&](int64_t task, int) {
      if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
    });
    scratch_release(kernel_slot);
    return failed.load() ? CK_OUT_OF_MEMORY : redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Layout<T> layout(kernels_, winograd_, p, num_threads());
    const int64_t tasks = p.groups * layout.tiles.count() * layout.splits;
    return std::min<int64_t>(layout.threads, tasks) * layout.bytes(p);
  }
  int64_t packed_bytes() const override { return packed_.bytes + redo_.packed_bytes(); }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Layout<T> l(kernels_, winograd_, p, num_threads());
    snprintf(text, size, "F(%dx%d,3x3), %lld blocks of %lld tiles x %lld splits", l.m, l.m,
             static_cast<long long>(p.groups * l.tiles.count()), static_cast<long long>(l.tiles.rows()),
             static_cast<long long>(l.splits));
  }

 private:
  bool transform_kernel(const Problem& p, const ck_operands& o, const Layout<T>& layout, T* to) const {
    const int64_t panels = layout.panels.panels;
    std::atomic<bool> failed{false};
    const int threads = p.groups * p.outputs * p.channels > 4096 ? num_threads() : 1;
    parallel_for(p.groups * panels, threads, [&](int64_t task, int) {
      const int64_t g = task / panels, j = task % panels;
      const T* kernel = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
      if (!transform_panel(kernels_, winograd_, p, kernel, layout, j,
                           to + g * layout.kernel_elements(p) + layout.kernel_start(p, j)))
        failed.store(true, std::memory_order_relaxed);
    });
    return !failed.load();
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  const WinogradKernels<T>& winograd_;
  Redo<T> redo_;
  Buffer packed_;
};

template <class T>
std::unique_ptr<Algorithm> make(const ck_spec& spec, const Kernels<T>& kernels, int which, const char** reason) {
  if (spec.direction == CK_GRAD_WEIGHT) return *reason = "not for the weight gradient", nullptr;
  const bool fits =
      spec.kernel[0] == 1 && spec.in[0] == 1 && spec.out[0] == 1 && spec.kernel[1] == 3 && spec.kernel[2] == 3;
  if (!fits) return *reason = "for 3x3 kernels in two dimensions only", nullptr;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    if (spec.stride[a] != 1 || spec.dilation[a] != 1) return *reason = "for stride 1 and dilation 1 only", nullptr;
  if (spec.pad[0] != 0) return *reason = "for 3x3 kernels in two dimensions only", nullptr;
  return std::make_unique<Winograd<T>>(spec, kernels, kernels.winograd[which]);
}

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_winograd2(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  return make(spec, kernels, 0, reason);
}
template <class T>
std::unique_ptr<Algorithm> make_winograd4(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  return make(spec, kernels, 1, reason);
}
template std::unique_ptr<Algorithm> make_winograd2(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_winograd2(const ck_spec&, const Kernels<double>&, const char**);
template std::unique_ptr<Algorithm> make_winograd4(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_winograd4(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
