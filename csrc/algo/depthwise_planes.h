// Depthwise convolution where lines of pixels lie together in image and result: a plane at a time, pixels on the lanes.
//   result[g, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, t]      x on the lanes
// Some lines of a plane are copied with their borders into scratch that stays in L1, split by the stride along x so
// that a tap's pixels lie together. The kernel (kernels/depthwise_plane.h) knows neither borders nor strides along x.
#pragma once

#include <string.h>

#include <algorithm>

#include "core/chunk.h"
#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"

namespace convkern {

template <class T>
class Planes {
 public:
  static constexpr int64_t most_taps = 64;  // along x
  static constexpr int64_t most_stride = 4;
  static constexpr int64_t tall = 8;  // lines that a tile may read beyond those wanted

  Planes(const Kernels<T>& kernels, const Problem& p, int most_threads)
      : kernels_(kernels), p_(p), lanes_(kernels.lanes), threads_(1) {
    const Axis &y = p.axis[1], &x = p.axis[2];
    reach_ = (x.out - 1) * x.stride + (x.taps - 1) * x.dilation + 1;
    phase_ = round_up(ceil_div(reach_, x.stride) + lanes_, lanes_);
    row_ = spread_pitch(phase_ * x.stride, sizeof(T));
    const int64_t fit = cpu_info().l1 / 2 / (row_ * int64_t{sizeof(T)});
    lines_ = even_piece(y.out, std::max<int64_t>(tall, (fit - (y.taps - 1) * y.dilation) / y.stride / tall * tall));
    pieces_ = ceil_div(y.out, lines_);
    copy_ = ((lines_ + tall - 1) * y.stride + (y.taps - 1) * y.dilation + 1) * row_ + 4 * lanes_;
    const double work = static_cast<double>(blocks() * lines_) * static_cast<double>(ceil_div(x.out, lanes_)) *
                        (static_cast<double>(p.taps()) + 8);
    if (work >= 20000) threads_ = most_threads;
  }

  static bool serves(const Problem& p, bool has_residual) {
    return p.outputs == 1 && p.image.axis[2] == 1 && p.result.axis[2] == 1 && !has_residual && p.axis[2].out > 1 &&
           p.axis[0].taps == 1 && p.axis[2].taps <= most_taps && p.axis[2].stride <= most_stride &&
           p.axis[2].out <= 16384 && p.axis[1].taps * p.axis[1].dilation + p.axis[1].stride * tall <= 256;
  }

  int threads() const { return threads_; }
  int64_t tasks() const { return std::min<int64_t>(blocks(), threads_ == 1 ? 1 : 8 * threads_); }
  int64_t staged() const { return copy_; }  // elements a thread needs

  // packed: [panel][tap][lane].
  bool task(const ck_spec& spec, const ck_operands& o, const T* packed, int64_t index, int stage_slot) const {
    const Axis &y = p_.axis[1], &x = p_.axis[2];
    T* copy = scratch_of<T>(stage_slot, staged());
    if (!copy) return false;
    memset(copy, 0, staged() * sizeof(T));  // the borders of zeros, for all planes
    DepthwisePlane<T> job;
    ptrdiff_t offset[most_taps];
    Columns columns[most_stride];
    for (int64_t phase = 0; phase < x.stride; ++phase) columns[phase] = columns_of(phase);
    for (int64_t k = 0; k < x.taps; ++k) offset[k] = k * x.dilation % x.stride * phase_ + k * x.dilation / x.stride;
    job.row = row_, job.offset = offset;
    job.taps = x.taps, job.lines = y.taps, job.stride = y.stride, job.dilation = y.dilation;
    job.weight_step = lanes_, job.width = x.out, job.out_row = p_.result.axis[1];
    job.clamp = spec.clamp != 0, job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    const T* image = static_cast<const T*>(o.image.data) + p_.image.offset;
    T* result = static_cast<T*>(o.result.data) + p_.result.offset;
    const T* bias = static_cast<const T*>(o.bias);
    job.image = copy;
    const int64_t last = (index + 1) * blocks() / tasks();
    for (int64_t i = index * blocks() / tasks(); i < last; ++i) {
      const Part part = at(i);
      fill(part, columns, image, copy);
      job.weights = packed + part.group / lanes_ * p_.taps() * lanes_ + part.group % lanes_;
      job.bias = bias ? bias[part.group] : T(0);
      job.count = part.to - part.from;
      job.out = result + part.sample * p_.result.batch + part.group * p_.result.group + part.z * p_.result.axis[0] +
                part.from * p_.result.axis[1];
      kernels_.depthwise_plane(job);
    }
    scratch_release(stage_slot);
    return true;
  }

 private:
  int64_t blocks() const { return p_.batch * p_.groups * p_.axis[0].out * pieces_; }

  struct Part {
    int64_t sample, group, z, from, to;  // lines of outputs of a plane
  };
  Part at(int64_t i) const {
    const int64_t planes = p_.axis[0].out, piece = i % pieces_, plane = i / pieces_;
    return {plane / planes / p_.groups, plane / planes % p_.groups, plane % planes, piece * p_.axis[1].out / pieces_,
            (piece + 1) * p_.axis[1].out / pieces_};
  }

  // Columns of one phase of the stride: the i-th is column first + i * stride of the image, inside it for lo <= i < hi.
  struct Columns {
    int64_t first, count, lo, hi;
  };
  Columns columns_of(int64_t phase) const {
    const Axis& x = p_.axis[2];
    Columns c;
    c.first = phase - x.pad, c.count = std::max<int64_t>(0, ceil_div(reach_ - phase, x.stride));
    c.lo = std::min(c.first < 0 ? ceil_div(-c.first, x.stride) : 0, c.count);
    c.hi = std::clamp<int64_t>(c.first < x.in ? ceil_div(x.in - c.first, x.stride) : 0, c.lo, c.count);
    return c;
  }

  // Lines inside the image one after the other; those above and below are zeros or, by the mode, other lines.
  void fill(const Part& part, const Columns* columns, const T* image, T* copy) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1];
    const int64_t count = (part.to - part.from - 1) * y.stride + (y.taps - 1) * y.dilation + 1;
    const int64_t iz = pad_index(p_.pad_mode, part.z * z.stride - z.pad, z.in), top = part.from * y.stride - y.pad;
    const T* plane = image + part.sample * p_.image.batch + part.group * p_.image.group + iz * p_.image.axis[0];
    const int64_t lo = iz < 0 ? count : std::clamp<int64_t>(-top, 0, count);
    const int64_t hi = std::clamp<int64_t>(y.in - top, lo, count);
    if (hi > lo) stage(columns, plane + (top + lo) * p_.image.axis[1], hi - lo, copy + lo * row_);
    for (int64_t j = lo > 0 ? 0 : hi; j < count; j = j + 1 == lo ? hi : j + 1) {
      const int64_t iy = iz < 0 ? -1 : pad_index(p_.pad_mode, top + j, y.in);
      if (iy < 0)
        memset(copy + j * row_, 0, row_ * sizeof(T));
      else
        stage(columns, plane + iy * p_.image.axis[1], 1, copy + j * row_);
    }
  }

  // Some lines with their borders left and right; those of zeros are there already.
  void stage(const Columns* columns, const T* from, int64_t lines, T* to) const {
    const Axis& x = p_.axis[2];
    const ptrdiff_t row = p_.image.axis[1];
    for (int64_t phase = 0; phase < x.stride; ++phase) {
      const Columns& c = columns[phase];
      kernels_.every_nth(from + c.first + c.lo * x.stride, row, x.stride, c.hi - c.lo, to + phase * phase_ + c.lo, row_,
                         lines);
    }
    if (p_.pad_mode == CK_PAD_ZEROS) return;
    for (int64_t phase = 0; phase < x.stride; ++phase, to += phase_) {
      const Columns& c = columns[phase];
      for (int64_t j = 0; j < lines; ++j)
        for (int64_t i = c.lo > 0 ? 0 : c.hi; i < c.count; i = i + 1 == c.lo ? c.hi : i + 1)
          to[j * row_ + i] = from[j * row + pad_index(p_.pad_mode, c.first + i * x.stride, x.in)];
    }
  }

  const Kernels<T>& kernels_;
  const Problem& p_;
  int64_t lanes_;
  int threads_;
  int64_t reach_, phase_, row_;  // padded columns that are read; elements of a phase of them, and of a line
  int64_t copy_;                 // elements of the copy
  int64_t lines_, pieces_;       // lines of outputs at a time, and the parts that makes of a plane
};

}  // namespace convkern
