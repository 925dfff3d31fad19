// The weight gradient of a depthwise convolution, vectors along channels:
//   result[g, m, k] = sum_{n,q} image[g, n, q*stride + k*dilation - pad] * grad[g, m, n, q]      g on the lanes
// Lowering has exchanged the roles: the result's outputs are taps, the sum runs over samples and pixels. A line of the
// gradient meets the lines of the image in its window, padded and kept in a ring. Threads share out vectors of channels
// and lines of taps, never a sum, so that the bits do not depend on how many there are.
#include <stdio.h>

#include <atomic>

#include "algo/algorithms.h"
#include "algo/depthwise.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { ring_slot, grad_slot, sums_slot, kept_slot };

template <class T>
class DepthwiseWeight final : public Algorithm {
 public:
  DepthwiseWeight(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels) {}

  ck_status pack(const ck_array&) override { return CK_INVALID; }  // a gradient is no weight: nothing is packed

  ck_status run(const ck_operands& o) const override {
    const Problem p = lower(spec_, o, 0);
    if (p.groups * p.outputs * p.pixels() == 0) return CK_OK;
    const Sizes s(kernels_, p, num_threads(), three_by_three(p));
    std::atomic<bool> failed{false};
    parallel_for(s.panels * s.parts, s.threads, [&](int64_t task, int) {
      const int64_t part = task % s.parts;
      const int64_t first = part * p.axis[1].out / s.parts, end = (part + 1) * p.axis[1].out / s.parts;
      if (!(in_place(p) ? panel_in_place(o, p, task / s.parts, first, end)
                        : panel(o, p, s, task / s.parts, first, end)))
        failed.store(true, std::memory_order_relaxed);
    });
    return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
  }

  int64_t workspace() const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Sizes s(kernels_, p, num_threads(), three_by_three(p));
    return std::min<int64_t>(s.threads, s.panels * s.parts) * s.elements * int64_t{sizeof(T)};
  }
  int64_t packed_bytes() const override { return 0; }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Sizes s(kernels_, p, num_threads(), three_by_three(p));
    snprintf(text, size, "%lld panels of %d channels x %lld parts of the taps", static_cast<long long>(s.panels),
             kernels_.lanes, static_cast<long long>(s.parts));
  }

 private:
  // p.axis: out are the taps, taps the pixels of the gradient.
  struct Sizes {
    int64_t panels, parts, piece, line, span, elements;  // piece: pixels of a line at a time
    int threads;
    Sizes(const Kernels<T>& kernels, const Problem& p, int most_threads, bool together) : parts(1), threads(1) {
      const Axis &y = p.axis[1], &x = p.axis[2];
      panels = ceil_div(p.groups, kernels.lanes);
      span = (y.out - 1) * y.stride + 1;
      const int64_t window = (x.out - 1) * x.stride + 1, lines = p.axis[0].out * span * kernels.lanes;
      const int64_t fit = 2 * cpu_info().l2 / int64_t{sizeof(T)} / lines - window;
      piece = even_piece(x.taps, std::clamp<int64_t>(fit / x.dilation, 16, 2048));
      line = (window + (std::max<int64_t>(1, piece) - 1) * x.dilation) * kernels.lanes;
      elements = p.axis[0].out * span * line + (piece + p.pixels()) * kernels.lanes;
      const double work = static_cast<double>(p.depth() * p.pixels()) * static_cast<double>(panels * p.outputs);
      if (work < 20000) return;
      threads = most_threads;
      // Lines of taps that are done together are worth more than an even share.
      if (!together || panels < threads) parts = std::min(y.out, ceil_div(2 * threads, panels));
    }
  };

  // Where channels lie together in both operands, lines are read in place.
  bool in_place(const Problem& p) const {
    return p.image.group == 1 && p.kernel.group == 1 && p.outputs == 1 && p.groups >= kernels_.lanes &&
           (p.pad_mode == CK_PAD_ZEROS || p.axis[2].inside());
  }

  // Whether a kernel takes three lines of taps together.
  bool three_by_three(const Problem& p) const {
    return kernels_.depthwise_weight_3x3 && in_place(p) && p.axis[1].out == 3 && p.axis[2].out == 3 &&
           p.axis[2].stride == 1 && p.axis[2].dilation == 1;
  }

  // Adds a line of the gradient times lines of the image, `lines` of them: where the window crosses the border, pixel
  // by pixel. sums: [line][tap].
  void add_lines(const Axis& x, const T* grad, ptrdiff_t grad_step, const T* const* image, int64_t lines,
                 ptrdiff_t step, T* sums) const {
    const int64_t reach = x.in - 1 + x.pad - (x.out - 1) * x.stride;
    const int64_t lo = std::clamp<int64_t>(x.pad > 0 ? ceil_div(x.pad, x.dilation) : 0, 0, x.taps);
    const int64_t hi = std::clamp<int64_t>(reach >= 0 ? reach / x.dilation + 1 : 0, lo, x.taps);
    const auto add = [&](int64_t l, int64_t q, int64_t count, int64_t first, int64_t taps) {
      if (taps > 0)
        kernels_.depthwise_weight(grad + q * grad_step, grad_step, count,
                                  image[l] + (q * x.dilation - x.pad + first * x.stride) * step, x.dilation * step,
                                  x.stride * step, taps, sums + (l * x.out + first) * kernels_.lanes);
    };
    const auto border = [&](int64_t l, int64_t q) {
      const int64_t at = q * x.dilation - x.pad;  // column of tap 0
      const int64_t first = at < 0 ? ceil_div(-at, x.stride) : 0;
      add(l, q, 1, first, std::min(x.out, at < x.in ? ceil_div(x.in - at, x.stride) : 0) - first);
    };
    for (int64_t l = 0; l < lines; ++l)
      for (int64_t q = 0; q < lo; ++q) border(l, q);
    if (hi > lo && lines == 3) {
      const T* at[3];
      for (int l = 0; l < 3; ++l) at[l] = image[l] + (lo - x.pad) * step;
      kernels_.depthwise_weight_3x3(grad + lo * grad_step, grad_step, hi - lo, at, step, sums);
    } else if (hi > lo) {
      for (int64_t l = 0; l < lines; ++l) add(l, lo, hi - lo, 0, x.out);
    }
    for (int64_t l = 0; l < lines; ++l)
      for (int64_t q = hi; q < x.taps; ++q) border(l, q);
  }

  // Lines of taps [from, to) of one vector of channels; of the last whole one where only a part is left.
  bool panel_in_place(const ck_operands& o, const Problem& p, int64_t index, int64_t from, int64_t to) const {
    const int64_t w = kernels_.lanes, used = std::min(w, p.groups - index * w), g = index * w - (w - used);
    const Axis &z = p.axis[0], &y = p.axis[1], &x = p.axis[2];
    T* sums = scratch_of<T>(sums_slot, p.pixels() * w);
    if (!sums) return false;
    std::fill_n(sums, p.pixels() * w, T(0));
    const bool together = three_by_three(p) && to - from == 3;
    for (int64_t n = 0; n < p.channels; ++n) {
      const T* image = static_cast<const T*>(o.image.data) + p.image.offset + g + n * p.image.channel;
      const T* grad = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g + n * p.kernel.channel;
      for (int64_t qz = 0; qz < z.taps; ++qz)
        for (int64_t qy = 0; qy < y.taps; ++qy)
          for (int64_t kz = 0; kz < z.out; ++kz) {
            const int64_t iz = pad_index(p.pad_mode, kz * z.stride + qz * z.dilation - z.pad, z.in);
            if (iz < 0) continue;
            const auto met = [&](int64_t ky) -> const T* {  // null: zeros
              const int64_t iy = pad_index(p.pad_mode, ky * y.stride + qy * y.dilation - y.pad, y.in);
              return iy < 0 ? nullptr : image + iz * p.image.axis[0] + iy * p.image.axis[1];
            };
            const T* const line = grad + qz * p.kernel.axis[0] + qy * p.kernel.axis[1];
            const auto add = [&](int64_t ky, const T* const* lines, int64_t count) {
              add_lines(x, line, p.kernel.axis[2], lines, count, p.image.axis[2], sums + (kz * y.out + ky) * x.out * w);
            };
            if (together) {
              const T* const lines[3] = {met(0), met(1), met(2)};
              if (lines[0] && lines[1] && lines[2]) {
                add(0, lines, 3);
                continue;
              }
            }
            for (int64_t ky = from; ky < to; ++ky)
              if (const T* const one = met(ky)) add(ky, &one, 1);
          }
    }
    store(o, p, index * w, used, 0, from, to, sums + (w - used));
    return true;
  }

  // The same for arrays of any strides.
  bool panel(const ck_operands& o, const Problem& p, const Sizes& s, int64_t index, int64_t from, int64_t to) const {
    const int64_t w = kernels_.lanes, g = index * w, used = std::min(w, p.groups - g);
    const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
    T* ring = scratch_of<T>(ring_slot, az.out * s.span * s.line);
    T* grad_line = scratch_of<T>(grad_slot, s.piece * w);
    T* sums = scratch_of<T>(sums_slot, p.pixels() * w);
    int64_t* kept = scratch_of<int64_t>(kept_slot, az.out * s.span);  // which line of the image the ring holds
    if (!ring || !grad_line || !sums || !kept) return false;
    const Problem image = as_channels(p);
    Problem grad = image;  // the gradient as an image without borders
    grad.image.channel = p.kernel.group;
    for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
      grad.image.axis[a] = p.kernel.axis[a];
      grad.axis[a].in = p.axis[a].taps;
    }
    for (int64_t m = 0; m < p.outputs; ++m) {
      std::fill_n(sums, p.pixels() * w, T(0));
      for (int64_t n = 0; n < p.channels; ++n) {
        const T* x = static_cast<const T*>(o.image.data) + p.image.offset + g * p.image.group + n * p.image.channel;
        const T* dy = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group +
                      m * p.kernel.output + n * p.kernel.channel;
        for (int64_t qz = 0; qz < az.taps; ++qz)
          for (int64_t qx = 0; qx < ax.taps; qx += s.piece) {
            const int64_t count = std::min(s.piece, ax.taps - qx);
            const int64_t columns = (ax.out - 1) * ax.stride + (count - 1) * ax.dilation + 1;
            std::fill_n(kept, az.out * s.span, INT64_MIN);
            for (int64_t qy = 0; qy < ay.taps; ++qy) {
              stage_channels_last(kernels_, grad, dy, {0, 1, 0, used, {qz, qy, qx}, {1, 1, count}}, w, grad_line);
              for (int64_t kz = 0; kz < az.out; ++kz)
                for (int64_t ky = from; ky < to; ++ky) {
                  const int64_t at_z = kz * az.stride + qz * az.dilation - az.pad;
                  const int64_t at_y = ky * ay.stride + qy * ay.dilation - ay.pad;
                  if (pad_index(p.pad_mode, at_z, az.in) < 0 || pad_index(p.pad_mode, at_y, ay.in) < 0) continue;
                  const int64_t place = kz * s.span + (at_y + ay.pad) % s.span;
                  T* line = ring + place * s.line;
                  if (kept[place] != at_y)
                    stage_channels_last(kernels_, image, x,
                                        {0, 1, 0, used, {at_z, at_y, qx * ax.dilation - ax.pad}, {1, 1, columns}}, w,
                                        line);
                  kept[place] = at_y;
                  kernels_.depthwise_weight(grad_line, w, count, line, ax.dilation * w, ax.stride * w, ax.out,
                                            sums + (kz * ay.out + ky) * ax.out * w);
                }
            }
          }
      }
      store(o, p, g, used, m, from, to, sums);
    }
    scratch_release(ring_slot);
    return true;
  }

  void store(const ck_operands& o, const Problem& p, int64_t g, int64_t used, int64_t m, int64_t from, int64_t to,
             const T* sums) const {
    const int64_t w = kernels_.lanes;
    const auto view = [&](auto* data, const Problem::Result& v, int64_t z, int64_t y) {
      if (data) data += v.offset + g * v.group + m * v.output + z * v.axis[0] + y * v.axis[1];
      return MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.axis[2], v.group};
    };
    for (int64_t z = 0; z < p.axis[0].out; ++z)
      for (int64_t y = from; y < to; ++y)
        kernels_.store(sums + (z * p.axis[1].out + y) * p.axis[2].out * w, w, p.axis[2].out, used,
                       view(static_cast<T*>(o.result.data), p.result, z, y),
                       view(static_cast<const T*>(o.residual.data), p.residual, z, y), spec_.clamp != 0,
                       static_cast<T>(spec_.lo), static_cast<T>(spec_.hi));
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_depthwise_weight(const ck_spec& spec, const Kernels<T>& kernels) {
  return std::make_unique<DepthwiseWeight<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_depthwise_weight(const ck_spec&, const Kernels<float>&);
template std::unique_ptr<Algorithm> make_depthwise_weight(const ck_spec&, const Kernels<double>&);

}  // namespace convkern
