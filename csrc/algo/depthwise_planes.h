// Depthwise convolution where lines of pixels lie together in image and result: a plane at a time, pixels on the lanes.
//   result[g, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, t]      x on the lanes
// Planes whose lines lie end to end are read in place where it pays (set_ends): columns outside a line, which are
// pixels of its neighbours, the kernel sees as zeros, and the lines at a plane's ends, beyond which it may not read,
// are copied. Others are copied some lines at a time with their borders, into a ring in L1 from which the next lines
// take what they share, split by the stride along x so that a tap's pixels lie together. The kernel
// (kernels/depthwise_plane.h) knows neither lines outside nor strides along x. Results that lie apart, the pixels of
// one phase of an input gradient, are kept in scratch and dealt out.
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
  static constexpr int64_t tall = 8;          // more lines than a tile may read beyond those wanted
  static constexpr int64_t most_lines = 512;  // of a plane in place, at a time

  Planes(const Kernels<T>& kernels, const Problem& p, int most_threads)
      : kernels_(kernels), p_(p), lanes_(kernels.lanes), threads_(1), wrapped_(one_line(p)) {
    const Axis &y = p.axis[1], &x = p.axis[2];
    const double work = static_cast<double>(p.batch * p.groups * p.axis[0].out * y.out) *
                        static_cast<double>(ceil_div(x.out, lanes_)) * (static_cast<double>(p.taps()) + 8);
    if (work >= 20000) threads_ = most_threads;
    const int64_t l1 = cpu_info().l1 / 2 / int64_t{sizeof(T)};
    set_ends();
    length_ = wrapped_ ? even_piece(x.out, std::max(tall * wrap(), l1 / x.stride)) : x.out;
    if (in_place_) {
      phase_ = row_ = round_up(columns(round_up(length_, lanes_)), lanes_);
      const int64_t planes = std::max<int64_t>(1, p.batch * p.groups * p.axis[0].out);
      const int64_t parts = std::max(ceil_div(shares(), planes), ceil_div(y.out, most_lines));
      const int64_t most = p.result.axis[2] == 1 ? y.out : l1 / length_;  // results that lie apart stay in L1
      lines_ = even_piece(y.out, std::max(tall, std::min(most, ceil_div(y.out, parts))));
    } else {
      phase_ = round_up(ceil_div(columns(length_), x.stride) + lanes_ + (wrapped_ ? tall * wrap() : 0), lanes_);
      row_ = spread_pitch(phase_ * x.stride, sizeof(T));
      lines_ = even_piece(y.out, std::max<int64_t>(tall, (l1 / row_ - lines_read(1)) / y.stride / tall * tall));
    }
    pieces_ = wrapped_ ? ceil_div(x.out, length_) : ceil_div(y.out, lines_);
    ring_ = in_place_ ? most_first_ + most_last_ : wrapped_ ? 0 : lines_read(lines_);
    copy_ = (1 + ring_) * row_ + 4 * lanes_;
    held_ = p.result.axis[2] == 1 ? 0 : round_up(lines_ * length_, lanes_);
    pointers_ = wrapped_ ? length_ / wrap() + tall : lines_read(lines_ + tall);
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
  int64_t tasks() const { return std::min<int64_t>(blocks(), shares()); }
  // Elements a thread needs: lines of the image, results that lie apart, and where lines are.
  int64_t staged() const { return copy_ + held_ + pointers_ * int64_t{sizeof(T*)} / int64_t{sizeof(T)}; }

  // packed: [panel][tap][lane].
  bool task(const ck_spec& spec, const ck_operands& o, const T* packed, int64_t index, int stage_slot) const {
    const Axis &y = p_.axis[1], &x = p_.axis[2];
    T* copy = scratch_of<T>(stage_slot, staged());
    if (!copy) return false;
    memset(copy, 0, copy_ * sizeof(T));  // the borders of zeros, for all planes
    const T** rows = reinterpret_cast<const T**>(copy + copy_ + held_);
    const ptrdiff_t column = in_place_ ? x.pad : 0;  // where column 0 of a copied line lies
    for (int64_t j = 0; j < pointers_; ++j) rows[j] = copy + (wrapped_ ? j * wrap() : column);
    Ring ring = {nullptr, 0, 0, 0};
    DepthwisePlane<T> job;
    ptrdiff_t offset[most_taps];
    for (int64_t k = 0; k < x.taps; ++k)
      offset[k] = in_place_ ? k * x.dilation - x.pad : k * x.dilation % x.stride * phase_ + k * x.dilation / x.stride;
    job.rows = rows, job.offset = offset, job.columns = in_place_ ? x.in : -1;
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
    const auto place = [&](const Part& part) {
      return result + part.sample * p_.result.batch + part.group * p_.result.group + part.z * p_.result.axis[0] +
             part.from[0] * p_.result.axis[1] + part.from[1] * step;
    };
    const auto size = [](const Part& part) { return (part.to[0] - part.from[0]) * (part.to[1] - part.from[1]); };
    Part part = at(first), next = at(first);
    for (int64_t i = first; i < last; ++i, advance(part)) {
      if (i == first || wrapped_) set_columns(part, phases);
      if (in_place_)
        point(part, image, copy, rows);
      else if (wrapped_)
        fill_line(part, phases, image, copy);
      else
        fill(part, phases, image, copy, rows, ring);
      job.weights = packed + part.group / lanes_ * p_.taps() * lanes_ + part.group % lanes_;
      job.bias = bias ? bias[part.group] : T(0);
      const int64_t lines = part.to[0] - part.from[0], width = part.to[1] - part.from[1];
      T* const to = place(part);
      T* const out = held_ ? copy + copy_ : to;
      advance(next);
      job.behind = i + 1 < last && place(next) == out + size(part) ? size(next) : 0;
      if (wrapped_)
        run_wrapped(job, width, out);
      else
        run(job, lines, width, out, held_ ? width : p_.result.axis[1]);
      if (held_) kernels_.to_every_nth(out, width, width, to, p_.result.axis[1], step, lines, between);
    }
    scratch_release(stage_slot);
    return true;
  }

 private:
  struct Part {
    int64_t sample, group, z, piece, from[2], to[2];  // outputs of a plane, along y and x
  };
  // Lines of outputs that are the only ones of their planes are cut into pieces, and each wrapped into lines of `wrap`
  // outputs, so that tiles of several lines are full.
  static bool one_line(const Problem& p) { return p.axis[1].out == 1 && p.axis[1].taps == 1; }
  int64_t wrap() const { return 4 * lanes_; }

  void run(DepthwisePlane<T>& job, int64_t lines, int64_t width, T* out, ptrdiff_t out_row) const {
    job.count = lines, job.width = width, job.out = out, job.out_row = out_row;
    kernels_.depthwise_plane(job);
  }
  void run_wrapped(DepthwisePlane<T>& job, int64_t width, T* out) const {
    const int64_t lines = width / wrap();
    job.stride = 1;
    if (lines > 0) run(job, lines, wrap(), out, wrap());
    if (width > lines * wrap()) {
      const T* const* rows = job.rows;
      job.rows += lines;
      run(job, 1, width - lines * wrap(), out + lines * wrap(), width - lines * wrap());
      job.rows = rows;
    }
  }

  // A line read in place is read from column -pad to the end of the last whole vector that taps reach. Lines may not be
  // where that leaves the planes that lie end to end; it pays where most may.
  void set_ends() {
    const Axis &z = p_.axis[0], &y = p_.axis[1], &x = p_.axis[2];
    const auto& image = p_.image;
    // Lines a multiple of 2 KiB apart, and results that lie likewise, would share a few sets of L1.
    // Planes larger than L2 come faster line by line.
    const bool fits = x.in * int64_t{sizeof(T)} % 2048 != 0 && y.in * x.in <= cpu_info().l2 / int64_t{sizeof(T)};
    in_place_ = !wrapped_ && x.stride == 1 && x.in > 0 && image.axis[1] == x.in && x.in < int64_t{1} << 30 &&
                x.pad <= lanes_ && (p_.pad_mode == CK_PAD_ZEROS || x.inside()) && fits;
    if (!in_place_) return;
    end_ = columns(round_up(x.out, lanes_)) - x.pad;
    most_first_ = x.pad > 0 ? ceil_div(x.pad, x.in) : 0;
    most_last_ = end_ > x.in ? ceil_div(end_ - x.in, x.in) : 0;
    in_place_ = 2 * (most_first_ + most_last_) <= y.in;
    const int64_t plane = y.in * x.in;
    end_to_end_[0] = z.in == 1 || image.axis[0] == plane;
    end_to_end_[1] = end_to_end_[0] && (p_.groups == 1 || image.group == z.in * plane);
    end_to_end_[2] = end_to_end_[1] && (p_.batch == 1 || image.batch == p_.groups * z.in * plane);
  }
  const T* plane_of(const Part& part, int64_t iz, const T* image) const {
    return image + part.sample * p_.image.batch + part.group * p_.image.group + iz * p_.image.axis[0];
  }
  int64_t lines_read(int64_t outputs) const {
    return (outputs - 1) * p_.axis[1].stride + (p_.axis[1].taps - 1) * p_.axis[1].dilation + 1;
  }
  int64_t shares() const { return threads_ == 1 ? 1 : 8 * threads_; }
  int64_t blocks() const { return p_.batch * p_.groups * p_.axis[0].out * pieces_; }
  int64_t columns(int64_t outputs) const {  // of the padded image that so many outputs of a line read
    return (outputs - 1) * p_.axis[2].stride + (p_.axis[2].taps - 1) * p_.axis[2].dilation + 1;
  }

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

  // Lines of a plane that lie in the copy: padded line `top` at place `start`, and on, up to `end`.
  struct Ring {
    const T* plane;
    int64_t top, end, start;
  };

  // Where the lines are that a part reads of a plane in place; some at its ends are copied, zeros come before them.
  void point(const Part& part, const T* image, T* copy, const T** rows) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1], &x = p_.axis[2];
    const int64_t count = lines_read(part.to[0] - part.from[0]);
    const int64_t iz = pad_index(p_.pad_mode, part.z * z.stride - z.pad, z.in), top = part.from[0] * y.stride - y.pad;
    const T* plane = plane_of(part, iz, image);
    // Elements that may be read before the plane and behind it.
    const int64_t size = y.in * x.in, planes[] = {iz, part.group * z.in, part.sample * p_.groups * z.in};
    const int64_t last[] = {z.in - 1, (p_.groups - 1) * z.in, (p_.batch - 1) * p_.groups * z.in};
    int64_t before = 0, behind = 0;
    for (int d = 0; d < 3 && end_to_end_[d]; ++d) before += planes[d] * size, behind += (last[d] - planes[d]) * size;
    const auto short_of = [&](int64_t wanted, int64_t there) {  // lines that may not be read
      return wanted > there ? std::min(ceil_div(wanted - there, x.in), y.in) : 0;
    };
    const int64_t first = short_of(x.pad, before), end = y.in - short_of(end_ - x.in, behind);
    const int64_t lo = iz < 0 ? count : std::clamp<int64_t>(first - top, 0, count);
    const int64_t hi = std::clamp<int64_t>(end - top, lo, count);
    for (int64_t j = lo; j < hi; ++j) rows[j] = plane + (top + j) * x.in;
    const int64_t from = std::max<int64_t>(0, -x.pad), to = std::min(x.in, row_ - x.pad);
    T* const zeros = copy + x.pad;  // column 0 of the first line of the copy
    for (int64_t j = lo > 0 ? 0 : hi; j < count; j = j + 1 == lo ? hi : j + 1) {
      const int64_t iy = iz < 0 ? -1 : pad_index(p_.pad_mode, top + j, y.in);
      rows[j] = iy < 0 ? zeros : plane + iy * x.in;
      if (iy < 0 || (iy >= first && iy < end)) continue;
      T* line = zeros + (1 + (iy < first ? iy : first + iy - end)) * row_;
      if (to > from) kernels_.every_nth(plane + iy * x.in + from, x.in, 1, to - from, line + from, row_, 1);
      rows[j] = line;
    }
  }

  // The line of a part that is wrapped, copied.
  void fill_line(const Part& part, const PhaseColumns* phases, const T* image, T* copy) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1];
    const int64_t iz = pad_index(p_.pad_mode, part.z * z.stride - z.pad, z.in),
                  iy = pad_index(p_.pad_mode, -y.pad, y.in);
    if (iz < 0 || iy < 0)
      memset(copy, 0, row_ * sizeof(T));
    else
      stage(phases, plane_of(part, iz, image) + iy * p_.image.axis[1], 1, copy);
  }

  // The lines that a part reads of a plane, copied, but those that the part before it left in the ring.
  void fill(const Part& part, const PhaseColumns* phases, const T* image, T* copy, const T** rows, Ring& ring) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1];
    const int64_t count = lines_read(part.to[0] - part.from[0]);
    const int64_t iz = pad_index(p_.pad_mode, part.z * z.stride - z.pad, z.in), top = part.from[0] * y.stride - y.pad;
    const T* plane = plane_of(part, iz, image);
    const ptrdiff_t pitch = p_.image.axis[1];
    const int64_t lo = iz < 0 ? count : std::clamp<int64_t>(-top, 0, count);
    const int64_t hi = std::clamp<int64_t>(y.in - top, lo, count);
    const bool goes_on = iz >= 0 && ring.plane == plane && top >= ring.top && top <= ring.end;
    const int64_t kept = goes_on ? ring.end - top : 0;
    ring = {iz < 0 ? nullptr : plane, top, top + count, goes_on ? (ring.start + top - ring.top) % ring_ : 0};
    T* const lines = copy + row_;
    const auto place = [&](int64_t j) { return ring.start + j < ring_ ? ring.start + j : ring.start + j - ring_; };
    for (int64_t j = std::max(lo, kept), n; j < hi; j += n) {
      n = std::min(hi - j, ring_ - place(j));
      stage(phases, plane + (top + j) * pitch, n, lines + place(j) * row_);
    }
    for (int64_t j = lo; j < hi; ++j) rows[j] = lines + place(j) * row_;
    for (int64_t j = lo > 0 ? 0 : hi; j < count; j = j + 1 == lo ? hi : j + 1) {
      const int64_t iy = iz < 0 ? -1 : pad_index(p_.pad_mode, top + j, y.in);
      rows[j] = iy < 0 ? copy : lines + place(j) * row_;
      if (iy >= 0 && j >= kept) stage(phases, plane + iy * pitch, 1, lines + place(j) * row_);
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
  bool wrapped_, in_place_;
  bool end_to_end_[3] = {};  // planes of a volume, volumes, samples
  int64_t end_ = 0, most_first_ = 0,
          most_last_ = 0;            // columns read of a line; lines at a plane's ends that may be copied
  int64_t length_, lines_, pieces_;  // outputs of a line, and lines, at a time; parts that makes of a plane
  int64_t phase_, row_;              // elements of a line's phase of the stride, and of a line
  int64_t ring_;                     // lines that are copied, behind one of zeros
  int64_t copy_, held_;              // elements of the copy, and of results that are dealt out
  int64_t pointers_;                 // lines that tiles read
};

}  // namespace convkern
