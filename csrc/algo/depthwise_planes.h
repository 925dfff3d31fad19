// Depthwise convolution where lines of pixels lie together in image and result: a plane at a time, pixels on the lanes.
//   result[g, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, t]      x on the lanes
// Some lines of a plane are copied with their borders into scratch that stays in L1, split by the stride along x so
// that a tap's pixels lie together. The kernel (kernels/depthwise_plane.h) knows neither borders nor strides along x.
// Results that lie apart, the pixels of one phase of an input gradient, are kept beside the copy and dealt out.
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
  static constexpr int64_t fewest_apart = 8;  // results of a line that are worth dealing out
  static constexpr int64_t tall = 8;          // lines that a tile may read beyond those wanted

  Planes(const Kernels<T>& kernels, const Problem& p, int most_threads)
      : kernels_(kernels), p_(p), lanes_(kernels.lanes), threads_(1), wrapped_(one_line(p)) {
    const Axis &y = p.axis[1], &x = p.axis[2];
    const int64_t l1 = cpu_info().l1 / 2 / int64_t{sizeof(T)};
    length_ = wrapped_ ? even_piece(x.out, std::max(tall * wrap(), l1 / x.stride)) : x.out;
    phase_ = round_up(ceil_div(columns(length_), x.stride) + lanes_ + (wrapped_ ? tall * wrap() : 0), lanes_);
    row_ = spread_pitch(phase_ * x.stride, sizeof(T));
    lines_ =
        even_piece(y.out, std::max<int64_t>(tall, (l1 / row_ - (y.taps - 1) * y.dilation) / y.stride / tall * tall));
    pieces_ = wrapped_ ? ceil_div(x.out, length_) : ceil_div(y.out, lines_);
    copy_ = (wrapped_ ? row_ : ((lines_ + tall - 1) * y.stride + (y.taps - 1) * y.dilation + 1) * row_) + 4 * lanes_;
    held_ = p.result.axis[2] == 1 ? 0 : lines_ * length_;
    const double work = static_cast<double>(blocks() * lines_) * static_cast<double>(ceil_div(length_, lanes_)) *
                        (static_cast<double>(p.taps()) + 8);
    if (work >= 20000) threads_ = most_threads;
  }

  static bool serves(const Problem& p, bool has_residual) {
    return p.outputs == 1 && p.image.axis[2] == 1 && p.result.axis[2] >= 1 && p.result.axis[2] <= most_stride &&
           p.axis[2].out >= (p.result.axis[2] == 1 ? 2 : fewest_apart) && !has_residual && p.axis[0].taps == 1 &&
           p.axis[2].taps <= most_taps && p.axis[2].stride <= most_stride &&
           (one_line(p)
                ? p.axis[2].taps * p.axis[2].dilation <= 4096
                : p.axis[2].out <= 16384 && p.axis[1].taps * p.axis[1].dilation + p.axis[1].stride * tall <= 256);
  }

  int threads() const { return threads_; }
  int64_t tasks() const { return std::min<int64_t>(blocks(), threads_ == 1 ? 1 : 8 * threads_); }
  int64_t staged() const { return copy_ + held_; }  // elements a thread needs

  // packed: [panel][tap][lane].
  bool task(const ck_spec& spec, const ck_operands& o, const T* packed, int64_t index, int stage_slot) const {
    const Axis &y = p_.axis[1], &x = p_.axis[2];
    T* copy = scratch_of<T>(stage_slot, staged());
    if (!copy) return false;
    memset(copy, 0, copy_ * sizeof(T));  // the borders of zeros, for all planes
    DepthwisePlane<T> job;
    ptrdiff_t offset[most_taps];
    for (int64_t k = 0; k < x.taps; ++k) offset[k] = k * x.dilation % x.stride * phase_ + k * x.dilation / x.stride;
    job.row = row_, job.offset = offset;
    job.taps = x.taps, job.lines = y.taps, job.stride = y.stride, job.dilation = y.dilation;
    job.weight_step = lanes_;
    job.clamp = spec.clamp != 0, job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    const T* image = static_cast<const T*>(o.image.data) + p_.image.offset;
    T* result = static_cast<T*>(o.result.data) + p_.result.offset;
    const T* bias = static_cast<const T*>(o.bias);
    const ptrdiff_t step = p_.result.axis[2];
    const bool between = o.result.stride[4] == 1;  // the array's own elements lie between those of a phase
    PhaseColumns phases[most_stride];
    const int64_t first = index * blocks() / tasks(), last = (index + 1) * blocks() / tasks();
    Part part = at(first);
    for (int64_t i = first; i < last; ++i, advance(part)) {
      if (i == first || wrapped_) set_columns(part, phases);
      fill(part, phases, image, copy);
      job.weights = packed + part.group / lanes_ * p_.taps() * lanes_ + part.group % lanes_;
      job.bias = bias ? bias[part.group] : T(0);
      const int64_t lines = part.to[0] - part.from[0], width = part.to[1] - part.from[1];
      T* const to = result + part.sample * p_.result.batch + part.group * p_.result.group + part.z * p_.result.axis[0] +
                    part.from[0] * p_.result.axis[1] + part.from[1] * step;
      T* const out = held_ ? copy + copy_ : to;
      if (wrapped_)
        run_wrapped(job, copy, width, out);
      else
        run(job, copy, row_, lines, width, out, held_ ? width : p_.result.axis[1]);
      if (held_) kernels_.to_every_nth(out, width, width, to, p_.result.axis[1], step, lines, between);
    }
    scratch_release(stage_slot);
    return true;
  }

 private:
  // Lines of outputs that are the only ones of their planes are cut into pieces, and each wrapped into lines of `wrap`
  // outputs, so that tiles of several lines are full.
  static bool one_line(const Problem& p) { return p.axis[1].out == 1 && p.axis[1].taps == 1; }
  int64_t wrap() const { return 4 * lanes_; }

  void run(DepthwisePlane<T>& job, const T* image, ptrdiff_t row, int64_t lines, int64_t width, T* out,
           ptrdiff_t out_row) const {
    job.image = image, job.row = row, job.count = lines, job.width = width;
    job.out = out, job.out_row = out_row;
    kernels_.depthwise_plane(job);
  }
  void run_wrapped(DepthwisePlane<T>& job, const T* copy, int64_t width, T* out) const {
    const int64_t whole = width / wrap() * wrap();
    job.stride = 1;
    if (whole > 0) run(job, copy, wrap(), width / wrap(), wrap(), out, wrap());
    if (whole < width) run(job, copy + whole, wrap(), 1, width - whole, out + whole, width - whole);
  }

  int64_t blocks() const { return p_.batch * p_.groups * p_.axis[0].out * pieces_; }
  int64_t columns(int64_t outputs) const {  // of the padded image that so many outputs of a line read
    return (outputs - 1) * p_.axis[2].stride + (p_.axis[2].taps - 1) * p_.axis[2].dilation + 1;
  }

  struct Part {
    int64_t sample, group, z, piece, from[2], to[2];  // outputs of a plane, along y and x
  };
  Part at(int64_t i) const {
    const int64_t planes = p_.axis[0].out, plane = i / pieces_;
    Part part = {plane / planes / p_.groups,      plane / planes % p_.groups, plane % planes, i % pieces_, {0, 0},
                 {p_.axis[1].out, p_.axis[2].out}};
    cut(part);
    return part;
  }
  void cut(Part& part) const {
    const int64_t all = p_.axis[wrapped_ ? 2 : 1].out;
    part.from[wrapped_] = part.piece * all / pieces_;
    part.to[wrapped_] = (part.piece + 1) * all / pieces_;
  }
  void advance(Part& part) const {
    if (pieces_ > 1) {
      part.piece = part.piece + 1 == pieces_ ? 0 : part.piece + 1;
      cut(part);
      if (part.piece > 0) return;
    }
    if (++part.z < p_.axis[0].out) return;
    part.z = 0;
    if (++part.group < p_.groups) return;
    part.group = 0;
    ++part.sample;
  }

  // The columns that a part reads of each phase of the stride.
  void set_columns(const Part& part, PhaseColumns* phases) const {
    const Axis& x = p_.axis[2];
    const int64_t start = part.from[1] * x.stride - x.pad, count = columns(part.to[1] - part.from[1]);
    for (int64_t phase = 0; phase < x.stride; ++phase)
      phases[phase] = PhaseColumns(start, count, x.in, x.stride, phase);
  }

  // Lines inside the image one after the other; those above and below are zeros or, by the mode, other lines.
  void fill(const Part& part, const PhaseColumns* phases, const T* image, T* copy) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1];
    const int64_t count = (part.to[0] - part.from[0] - 1) * y.stride + (y.taps - 1) * y.dilation + 1;
    const int64_t iz = pad_index(p_.pad_mode, part.z * z.stride - z.pad, z.in), top = part.from[0] * y.stride - y.pad;
    const T* plane = image + part.sample * p_.image.batch + part.group * p_.image.group + iz * p_.image.axis[0];
    const int64_t lo = iz < 0 ? count : std::clamp<int64_t>(-top, 0, count);
    const int64_t hi = std::clamp<int64_t>(y.in - top, lo, count);
    if (hi > lo) stage(phases, plane + (top + lo) * p_.image.axis[1], hi - lo, copy + lo * row_);
    for (int64_t j = lo > 0 ? 0 : hi; j < count; j = j + 1 == lo ? hi : j + 1) {
      const int64_t iy = iz < 0 ? -1 : pad_index(p_.pad_mode, top + j, y.in);
      if (iy < 0)
        memset(copy + j * row_, 0, row_ * sizeof(T));
      else
        stage(phases, plane + iy * p_.image.axis[1], 1, copy + j * row_);
    }
  }

  // Some lines with their borders left and right; those of zeros are there already, but where a line is cut.
  void stage(const PhaseColumns* phases, const T* from, int64_t lines, T* to) const {
    const Axis& x = p_.axis[2];
    const ptrdiff_t row = p_.image.axis[1];
    const bool halved = x.stride == 2 && halve(phases, from, lines, to);
    for (int64_t phase = 0; phase < x.stride; ++phase, to += phase_) {
      const PhaseColumns& c = phases[phase];
      if (!halved)
        kernels_.every_nth(from + c.first + c.lo * x.stride, row, x.stride, c.hi - c.lo, to + c.lo, row_, lines);
      if (p_.pad_mode == CK_PAD_ZEROS && !wrapped_) continue;
      for (int64_t j = 0; j < lines; ++j)
        c.each_outside([&](int64_t i) {
          const int64_t source = pad_index(p_.pad_mode, c.first + i * x.stride, x.in);
          to[j * row_ + i] = source < 0 ? T(0) : from[j * row + source];
        });
    }
  }

  // Both phases of a stride of two at once, each pixel loaded once, if they take turns from the first column on.
  bool halve(const PhaseColumns* phases, const T* from, int64_t lines, T* to) const {
    const auto column = [&](int i) { return phases[i].first + 2 * phases[i].lo; };
    const auto count = [&](int i) { return phases[i].hi - phases[i].lo; };
    const int even = column(1) < column(0), odd = 1 - even;
    if (column(odd) != column(even) + 1 || count(even) - count(odd) < 0 || count(even) - count(odd) > 1) return false;
    from += column(even);
    for (int64_t j = 0; j < lines; ++j, from += p_.image.axis[1], to += row_)
      kernels_.tap.halve(from, count(even), count(odd), to + even * phase_ + phases[even].lo,
                         to + odd * phase_ + phases[odd].lo);
    return true;
  }

  const Kernels<T>& kernels_;
  const Problem& p_;
  int64_t lanes_;
  int threads_;
  bool wrapped_;
  int64_t length_, lines_, pieces_;  // outputs of a line, and lines, at a time; parts that makes of a plane
  int64_t phase_, row_;              // elements of a line's phase of the stride, and of a line
  int64_t copy_, held_;              // elements of the copy, and of results that are dealt out
};

}  // namespace convkern
