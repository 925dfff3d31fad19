// Depthwise convolution of images that have fewer channels than a vector has lanes, side by side, as colours have: a
// line is one run of numbers, and the channels of its vectors repeat after P = C / gcd(C, lanes) of them.
//   result[x*C + c] = bias[c] + sum_t image[(x*stride + t*dilation - pad)*C + c] * kernel[c, t]     x*C + c on the
//   lanes
// Lines are copied with their borders into a ring that moves down with the outputs, split by the stride along x so that
// a tap's numbers lie together. Weights are repeated over the lanes of P vectors, each of which serves every P-th
// vector of a line. The kernel (kernels/depthwise.h) knows nothing of it.
#pragma once

#include <string.h>

#include <algorithm>
#include <numeric>

#include "core/chunk.h"
#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"

namespace convkern {

template <class T>
class Folded {
 public:
  Folded(const Kernels<T>& kernels, const Problem& p, int most_threads)
      : kernels_(kernels),
        p_(p),
        blocks_(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        lanes_(kernels.lanes),
        panels_(p.groups / std::gcd(p.groups, lanes_)),
        threads_(1) {
    for (int d = 0; d < 3; ++d) blocks_.cut(d, 1);
    int64_t width = blocks_.extent[3];
    while (width > narrow && ring(p, lanes_, width) * int64_t{sizeof(T)} > cpu_info().l2 / 2)
      width = even_piece(blocks_.extent[3], width / 2);
    blocks_.set(3, width);
    phase_ = phase(p, lanes_, blocks_.piece(3));
    row_ = row(p, lanes_, blocks_.piece(3));
    const double vectors = static_cast<double>(p.batch * p.pixels() * p.groups) / static_cast<double>(lanes_);
    const double split = p.axis[2].stride == 1 ? 0 : 2 * static_cast<double>(p.batch * p.axis[1].in * p.axis[2].in);
    if (vectors * (static_cast<double>(p.taps()) + 4) + split < 20000) return;
    threads_ = most_threads;
    for (int d = 0; d < 3 && blocks_.count() < 4 * threads_; ++d)
      blocks_.cut(d, std::min(ceil_div(4 * threads_, blocks_.count()), blocks_.extent[d]));
  }

  static bool serves(const Kernels<T>& kernels, const Problem& p, bool has_residual) {
    const int64_t c = p.groups, lanes = kernels.lanes;
    return p.outputs == 1 && c > 1 && c < lanes && p.image.group == 1 && p.image.axis[2] == c && p.result.group == 1 &&
           p.result.axis[2] == c && !has_residual && p.axis[2].out > 1 && c * p.taps() * lanes <= most_staged &&
           ring(p, lanes, std::min<int64_t>(narrow, p.axis[2].out)) <= most_staged;
  }

  int threads() const { return threads_; }
  int64_t tasks() const { return blocks_.count(); }
  int64_t staged() const {  // elements a thread needs
    return panels_ * (p_.taps() + 1) * lanes_ + p_.axis[0].taps * span(p_) * row_;
  }

  // packed: [tap][lane].
  bool task(const ck_spec& spec, const ck_operands& o, const T* packed, int64_t index, int stage_slot,
            int table_slot) const {
    const Axis& x = p_.axis[2];
    const Block block = blocks_[index];
    const int64_t held = p_.axis[0].taps * span(p_);
    T* const weights = scratch_of<T>(stage_slot, staged());
    ptrdiff_t* const table = scratch_of<ptrdiff_t>(table_slot, held + 2 * p_.taps());
    if (!weights || !table) return false;
    T* const bias = weights + panels_ * p_.taps() * lanes_;
    T* const lines = bias + panels_ * lanes_;
    repeat(packed, p_.taps(), lanes_, weights);
    if (o.bias) repeat(static_cast<const T*>(o.bias), 1, 0, bias);

    DepthwiseJob<T> job;
    job.line = table + held, job.weight = job.line + p_.taps();
    job.taps = x.stride == 1 ? x.taps : 1;
    job.tap_step = x.dilation * p_.groups;
    job.step = job.out_step = panels_ * lanes_;
    job.clamp = spec.clamp != 0, job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    const T* image = static_cast<const T*>(o.image.data) + p_.image.offset;
    T* result = static_cast<T*>(o.result.data);
    const int64_t numbers = block.extent[3] * p_.groups, whole = numbers / lanes_, rest = numbers % lanes_;
    for (int64_t i = 0; i < block.lines(); ++i) {
      const Block at = line_of(block, i);
      if (at.start[2] == block.start[2]) std::fill(table, table + held, PTRDIFF_MIN);
      job.lines = window(at, image + at.start[0] * p_.image.batch, lines, table);
      T* out = result + first_output(p_.result, 0, at);
      for (int64_t j = 0; j < panels_; ++j) {
        job.weights = weights + j * p_.taps() * lanes_;
        job.bias = o.bias ? bias + j * lanes_ : nullptr;
        if (whole > j) kernels_.depthwise(job, lines + j * lanes_, out + j * lanes_, ceil_div(whole - j, panels_));
        if (rest == 0 || whole % panels_ != j) continue;
        T last[max_panel_lanes];
        kernels_.depthwise(job, lines + whole * lanes_, last, 1);
        memcpy(out + whole * lanes_, last, rest * sizeof(T));
      }
    }
    return true;
  }

 private:
  static constexpr int64_t narrow = 64, most_staged = 1 << 17;  // pixels of a line, elements

  static int64_t span(const Problem& p) { return (p.axis[1].taps - 1) * p.axis[1].dilation + 1; }  // lines of the ring
  static int64_t columns(const Problem& p, int64_t width) {  // that so many outputs of a line read
    return (width - 1) * p.axis[2].stride + (p.axis[2].taps - 1) * p.axis[2].dilation + 1;
  }
  // Elements of a phase of the stride, of a line, and of the ring.
  static int64_t phase(const Problem& p, int64_t lanes, int64_t width) {
    return round_up(ceil_div(columns(p, width), p.axis[2].stride) * p.groups + lanes, lanes);
  }
  static int64_t row(const Problem& p, int64_t lanes, int64_t width) {
    return spread_pitch(phase(p, lanes, width) * p.axis[2].stride, sizeof(T));
  }
  static int64_t ring(const Problem& p, int64_t lanes, int64_t width) {
    return p.axis[0].taps * span(p) * row(p, lanes, width);
  }

  // to[panel][i][lane] = from[i][channel of the lane].
  void repeat(const T* from, int64_t count, int64_t step, T* to) const {
    for (int64_t j = 0; j < panels_; ++j)
      for (int64_t i = 0; i < count; ++i)
        for (int64_t l = 0; l < lanes_; ++l) *to++ = from[i * step + (j * lanes_ + l) % p_.groups];
  }

  // Brings the lines that a line of outputs reads into the ring and writes where they and their weights lie; returns
  // how many there are, leaving out those of zeros. Of a stride along x each tap is a line of its own.
  int64_t window(const Block& at, const T* sample, T* lines, ptrdiff_t* table) const {
    const Axis &z = p_.axis[0], &y = p_.axis[1], &x = p_.axis[2];
    const int64_t height = span(p_), held = z.taps * height, start = at.start[3] * x.stride - x.pad;
    ptrdiff_t *line = table + held, *weight = line + p_.taps();
    int64_t seen = 0;
    for (int64_t tz = 0; tz < z.taps; ++tz) {
      const int64_t iz = pad_index(p_.pad_mode, at.start[1] * z.stride + tz * z.dilation - z.pad, z.in);
      for (int64_t ty = 0; iz >= 0 && ty < y.taps; ++ty) {
        const int64_t below = at.start[2] * y.stride + ty * y.dilation;
        const int64_t iy = pad_index(p_.pad_mode, below - y.pad, y.in);
        if (iy < 0) continue;
        const int64_t place = tz * height + below % height;
        if (table[place] != below) {
          stage(sample + iz * p_.image.axis[0] + iy * p_.image.axis[1], start, columns(p_, at.extent[3]),
                lines + place * row_);
          table[place] = below;
        }
        const ptrdiff_t first = (tz * y.taps + ty) * x.taps * lanes_;
        if (x.stride == 1) {
          line[seen] = place * row_, weight[seen++] = first;
          continue;
        }
        for (int64_t t = 0, column = 0; t < x.taps; ++t, column += x.dilation) {
          line[seen] = place * row_ + column % x.stride * phase_ + column / x.stride * p_.groups;
          weight[seen++] = first + t * lanes_;
        }
      }
    }
    return seen;
  }

  // `count` columns of a line, from column `start` of the padded image on.
  void stage(const T* from, int64_t start, int64_t count, T* to) const {
    const Axis& x = p_.axis[2];
    const int64_t c = p_.groups;
    for (int64_t i = 0; i < std::min(x.stride, count); ++i, to += phase_) {
      const PhaseColumns columns(start, count, x.in, x.stride, i);
      kernels_.pack({from + (columns.first + columns.lo * x.stride) * c, x.stride * c, 1}, columns.hi - columns.lo, c,
                    to + columns.lo * c, c);
      columns.each_outside([&](int64_t j) {
        const int64_t ix = pad_index(p_.pad_mode, columns.first + j * x.stride, x.in);
        if (ix < 0)
          memset(to + j * c, 0, c * sizeof(T));
        else
          memcpy(to + j * c, from + ix * c, c * sizeof(T));
      });
    }
  }

  const Kernels<T>& kernels_;
  const Problem& p_;
  Region blocks_;
  int64_t lanes_, panels_;  // panels: vectors until the channels repeat
  int threads_;
  int64_t phase_, row_;  // elements of a line's phase of the stride, and of a line
};

}  // namespace convkern
