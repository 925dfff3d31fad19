// The weight gradient of 3x3 kernels by Winograd's F(3x3, 4x4): the gradient is cut into 4x4 tiles, which act as
// kernels on the 6x6 patches of the image around them, and what is summed over tiles are products of transforms:
//   V[p][tile][c] = B^T d B    D[p][tile][o] = G g G^T    C[p][c][o] = sum_tile V[p][tile][c] D[p][tile][o]    dw = A^T
//   C A
// Slice by slice of tiles: all threads transform, then share out the products C[p][.][panel], so that each sum runs
// over the tiles in their order whatever the threads. A group in which a NaN or an infinity appears is computed by
// `direct`.
#include "algo/winograd_weight.h"

#include <stdio.h>

#include <atomic>

#include "algo/redo.h"
#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { patch_slot, table_slot, block_slot, transformed_slot, sums_slot };

constexpr int64_t side = 4, patch = 6, points = patch * patch, taps = 9;
constexpr int64_t most_sum_bytes = 24 << 20, slice_bytes = 4 << 20, fewest_tiles = 56, together = 16;

template <class T>
class WinogradWeight final : public Algorithm {
 public:
  WinogradWeight(const ck_spec& spec, const Kernels<T>& kernels)
      : spec_(spec), kernels_(kernels), winograd_(form(kernels)), redo_(spec, kernels) {}

  ck_status pack(const ck_array&) override { return CK_INVALID; }  // a gradient is no weight: nothing is packed

  ck_status run(const ck_operands& o) const override {
    const Problem p = lower(spec_, o, 0);
    if (p.batch * p.outputs * p.groups == 0) return CK_OK;
    const Sizes s(kernels_, p);
    T* transformed = scratch_of<T>(transformed_slot, s.slice_elements());
    T* sums = scratch_of<T>(sums_slot, points * s.sums_point);
    std::atomic<bool>* tainted = redo_.marks();
    if (!transformed || !sums || !tainted) return CK_OUT_OF_MEMORY;
    const double work = static_cast<double>(s.tiles) * static_cast<double>(p.batch * p.outputs) * p.groups;
    const int threads = work > 1000 ? num_threads() : 1;
    std::atomic<bool> failed{false};
    const auto each = [&](int64_t tasks, auto&& f) {
      parallel_for(tasks, threads, [&](int64_t task, int) {
        if (!f(task)) failed.store(true, std::memory_order_relaxed);
      });
    };
    for (int64_t g = 0; g < p.groups; ++g) {
      const Views v(p, o, g);
      for (int64_t first = 0; first < s.tiles; first += s.slice) {
        const int64_t count = std::min(s.slice, s.tiles - first), parts = ceil_div(count, together);
        each(parts, [&](int64_t part) {
          const int64_t begin = part * together, end = std::min(count, begin + together);
          return transform(p, s, v, first, begin, end, transformed);
        });
        each(points * s.panels.panels, [&](int64_t task) {
          return multiply(p, s, task / s.panels.panels, task % s.panels.panels, count, first > 0, transformed, sums);
        });
      }
      each(ceil_div(p.batch, together) * s.panels.panels, [&](int64_t task) {
        const int64_t c = task / s.panels.panels * together;
        return store(o, p, s, g, c, std::min(p.batch, c + together), task % s.panels.panels, sums, &tainted[g]);
      });
    }
    scratch_release(transformed_slot);
    scratch_release(sums_slot);
    return failed.load() ? CK_OUT_OF_MEMORY : redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Sizes s(kernels_, p);
    const int64_t own = patch * patch * (s.image_pitch + s.grad_pitch) + together * taps * s.panels.width(0);
    return (s.slice_elements() + points * s.sums_point + num_threads() * own) * int64_t{sizeof(T)};
  }
  int64_t packed_bytes() const override { return 0; }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Sizes s(kernels_, p);
    snprintf(text, size, "F(3x3,4x4), %lld tiles in slices of %lld", static_cast<long long>(s.tiles),
             static_cast<long long>(s.slice));
  }

 private:
  static const WinogradKernels<T>& form(const Kernels<T>& kernels) {
    const WinogradKernels<T>* found = kernels.winograd;
    while (found->m[0] != 3 || found->r[0] != 4) ++found;
    return *found;
  }

  struct Sizes {
    Panels<T> panels;
    int64_t rows, columns, tiles, slice;  // tiles of a sample; all of them; those of a slice
    int64_t image_pitch, grad_pitch;      // of a tile's channels
    int64_t image_point, grad_point, sums_point;

    Sizes(const Kernels<T>& kernels, const Problem& p)
        : panels(kernels, kernels.tile[kernels.shapes - 1], p.outputs),
          rows(ceil_div(p.axis[1].taps, side)),
          columns(ceil_div(p.axis[2].taps, side)),
          tiles(p.channels * rows * columns),
          image_pitch(spread_pitch(round_up(p.batch, kernels.lanes), sizeof(T))) {
      for (int i = kernels.shapes - 1; i >= 0; --i) {
        const Panels<T> other(kernels, kernels.tile[i], p.outputs);
        if (other.padded() < panels.padded()) panels = other;
      }
      grad_pitch = panels.padded();
      const int64_t tile_bytes = points * (image_pitch + grad_pitch) * int64_t{sizeof(T)};
      slice = even_piece(std::max<int64_t>(1, tiles), std::max(fewest_tiles, slice_bytes / tile_bytes));
      image_point = slice * image_pitch + 16;
      grad_point = slice * grad_pitch + 16;
      sums_point = p.batch * grad_pitch + 16;
    }
    int64_t slice_elements() const { return points * (image_point + grad_point); }
  };

  // The image and the gradient of a group as images with channels: what staging and in-place reading look at.
  struct Views {
    Problem image, grad;
    const T *x, *dy;
    Views(const Problem& p, const ck_operands& o, int64_t g) : image(p), grad(p) {
      image.channels = p.batch;
      image.image.channel = p.image.batch;
      grad.channels = p.outputs;
      grad.image.channel = p.kernel.output;
      grad.pad_mode = CK_PAD_ZEROS;
      for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
        grad.image.axis[a] = p.kernel.axis[a];
        grad.axis[a].in = p.axis[a].taps;
      }
      x = static_cast<const T*>(o.image.data) + p.image.offset + g * p.image.group;
      dy = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
    }
  };

  // A square of pixels with its channels side by side: in place where it lies so, else staged.
  struct Square {
    const T* data;
    ptrdiff_t row, column;
    Square(const Kernels<T>& kernels, const Problem& p, const T* image, int64_t y, int64_t x, int64_t size,
           int64_t pitch, T* staged)
        : data(staged), row(size * pitch), column(pitch) {
      const bool here = p.image.channel == 1 && p.channels % kernels.lanes == 0 && p.channels == pitch && y >= 0 &&
                        x >= 0 && y + size <= p.axis[1].in && x + size <= p.axis[2].in;
      if (here) {
        data = image + y * p.image.axis[1] + x * p.image.axis[2];
        row = p.image.axis[1], column = p.image.axis[2];
      } else {
        stage_channels_last(kernels, p, image, {0, 1, 0, p.channels, {0, y, x}, {1, size, size}}, pitch, staged);
      }
    }
  };

  // Tiles first + [begin, end): V as [point][tile][channel], D after it as [point][panel][tile][lane].
  bool transform(const Problem& p, const Sizes& s, const Views& v, int64_t first, int64_t begin, int64_t end,
                 T* transformed) const {
    T* staged = scratch_of<T>(patch_slot, patch * patch * std::max(s.image_pitch, s.grad_pitch));
    if (!staged) return false;
    T* grads = transformed + points * s.image_point;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t tile = first + i, n = tile / (s.rows * s.columns);
      const int64_t y = tile / s.columns % s.rows * side, x = tile % s.columns * side;
      const Square d(kernels_, v.image, v.x + n * p.image.channel, y - p.axis[1].pad, x - p.axis[2].pad, patch,
                     s.image_pitch, staged);
      winograd_.input(d.data, d.row, d.column, ceil_div(p.batch, kernels_.lanes), transformed + i * s.image_pitch,
                      s.image_point);
      const Square g(kernels_, v.grad, v.dy + n * p.kernel.channel, y, x, side, s.grad_pitch, staged);
      for (int64_t j = 0; j < s.panels.panels; ++j)
        winograd_.filter(g.data + s.panels.start(j), g.row, g.column, s.panels.width(j) / kernels_.lanes,
                         grads + s.panels.start(j) * s.slice + i * s.panels.width(j), s.grad_point);
    }
    return true;
  }

  // C[point][.][panel j] over the tiles of a slice.
  bool multiply(const Problem& p, const Sizes& s, int64_t point, int64_t j, int64_t count, bool more,
                const T* transformed, T* sums) const {
    const int64_t w = s.panels.width(j);
    char* table = static_cast<char*>(scratch(table_slot, p.batch * sizeof(char*)));
    if (!table) return false;
    const char** row = reinterpret_cast<const char**>(table);
    const T* v = transformed + point * s.image_point;
    for (int64_t c = 0; c < p.batch; ++c) row[c] = reinterpret_cast<const char*>(v + c);
    const Tap first = {0, 0};
    TileJob<T> job = {};
    job.taps = &first;
    job.listed = 1;
    job.run = count;
    job.along = {s.image_pitch * ptrdiff_t{sizeof(T)}, w * ptrdiff_t{sizeof(T)}};
    job.ldc = s.grad_pitch * ptrdiff_t{sizeof(T)};
    job.start = more ? Start::load : Start::zero;
    const T* d = transformed + points * s.image_point + point * s.grad_point + s.panels.start(j) * s.slice;
    multiply_panel(s.panels.shape(j), job, row, p.batch, reinterpret_cast<const char*>(d),
                   sums + point * s.sums_point + s.panels.start(j), static_cast<const T*>(nullptr));
    return true;
  }

  // dw of input channels [begin, end) and panel j.
  bool store(const ck_operands& o, const Problem& p, const Sizes& s, int64_t g, int64_t begin, int64_t end, int64_t j,
             const T* sums, std::atomic<bool>* tainted) const {
    const int64_t w = s.panels.width(j), used = s.panels.used(j);
    T* block = scratch_of<T>(block_slot, together * taps * w);
    if (!block) return false;
    bool finite = true;
    WinogradTile<T> tile = {};
    tile.point = s.sums_point;
    tile.vectors = w / kernels_.lanes;
    tile.row = 3 * w;
    tile.column = w;
    for (int64_t c = begin; c < end; ++c) {
      tile.sums = sums + c * s.grad_pitch + s.panels.start(j);
      tile.out = block + (c - begin) * taps * w;
      finite &= winograd_.output(tile);
    }
    if (!finite) tainted->store(true, std::memory_order_relaxed);
    const auto view = [&](auto* data, const Problem::Result& r, int64_t c, int64_t y, ptrdiff_t row) {
      if (data) data += r.offset + g * r.group + c * r.batch + s.panels.start(j) * r.output + y * r.axis[1];
      return MatrixView<std::remove_reference_t<decltype(*data)>>{data, row, r.output};
    };
    const auto put = [&](const T* from, int64_t rows, int64_t c, int64_t y, ptrdiff_t row, ptrdiff_t extra_row) {
      kernels_.store(from, w, rows, used, view(static_cast<T*>(o.result.data), p.result, c, y, row),
                     view(static_cast<const T*>(o.residual.data), p.residual, c, y, extra_row), spec_.clamp != 0,
                     static_cast<T>(spec_.lo), static_cast<T>(spec_.hi));
    };
    const auto even = [](const Problem::Result& r) { return r.axis[1] == 3 * r.axis[2] && r.batch == 9 * r.axis[2]; };
    if (even(p.result) && (!o.residual.data || even(p.residual))) {
      put(block, (end - begin) * taps, begin, 0, p.result.axis[2], p.residual.axis[2]);
      return true;
    }
    for (int64_t c = begin; c < end; ++c)
      for (int64_t y = 0; y < 3; ++y)
        put(block + ((c - begin) * taps + y * 3) * w, 3, c, y, p.result.axis[2], p.residual.axis[2]);
    return true;
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  const WinogradKernels<T>& winograd_;
  Redo<T> redo_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_winograd_weight(const ck_spec& spec, const Kernels<T>& kernels, int64_t m,
                                                const char** reason) {
  if (m != side) return *reason = "not for the weight gradient", nullptr;
  const bool plane = spec.kernel[0] == 1 && spec.in[0] == 1 && spec.out[0] == 1 && spec.pad[0] == 0;
  bool one = spec.kernel[1] == 3 && spec.kernel[2] == 3;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) one = one && spec.stride[a] == 1 && spec.dilation[a] == 1;
  if (!plane || !one) return *reason = "a weight gradient only of 3x3 kernels of stride 1 and dilation 1", nullptr;
  // What one pixel meets is one line of taps, as lowered.
  if (spec.out[1] * spec.out[2] == 1) return *reason = "a weight gradient only of more than one pixel", nullptr;
  const double sums = static_cast<double>(spec.ci / spec.groups) * points * sizeof(T) *
                      static_cast<double>(round_up(spec.co / spec.groups, max_panel_lanes));
  if (sums > most_sum_bytes) return *reason = "a weight gradient's sums would take more than 24 MB", nullptr;
  return std::make_unique<WinogradWeight<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_winograd_weight(const ck_spec&, const Kernels<float>&, int64_t, const char**);
template std::unique_ptr<Algorithm> make_winograd_weight(const ck_spec&, const Kernels<double>&, int64_t, const char**);

}  // namespace convkern
