// Depthwise convolution where channels lie side by side in image and result: lines of the image are read in place.
//   result[g, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, t]      g on the lanes
// Knows which lines a line of outputs reads, and cuts the work so that what a kernel call touches stays in L1 and what
// a thread touches in its own L2, call after call. The kernel (kernels/sweep.h) knows the columns.
#pragma once

#include <algorithm>

#include "core/chunk.h"
#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {

template <class T>
class Sweep {
 public:
  static constexpr int64_t most_lines = 64;  // of taps, in all

  Sweep(const Kernels<T>& kernels, const Problem& p, int most_threads)
      : kernels_(kernels),
        p_(p),
        blocks_(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        lanes_(kernels.lanes),
        threads_(1),
        height_(1) {
    const Axis &z = p.axis[0], &y = p.axis[1], &x = p.axis[2];
    for (int d = 0; d < 4; ++d) blocks_.cut(d, 1);
    under_way_ = ceil_div(x.taps, x.stride) - 1;
    one_ = kernels.sweep(1, z.taps * y.taps, x.taps, x.stride), some_ = kernels.sweep(1, 0, x.taps, x.stride);
    if (z.taps == 1 && z.stride == 1 && z.pad == 0 && y.dilation == 1 && y.stride == x.stride && x.dilation == 1)
      for (int h = 2; h <= max_sweep_lines; ++h)
        if ((several_[h] = kernels.sweep(h, y.taps, x.taps, x.stride))) height_ = h;
    together_ = even_piece(p.groups / lanes_, 16);
    const double work =
        static_cast<double>(p.batch * p.pixels() * p.groups / lanes_) * (static_cast<double>(p.taps()) + 4);
    if (work < 20000) return;
    threads_ = most_threads;
    // Samples, then planes, then lines, then pieces of lines, until each thread has some; as many for each.
    const int64_t least[] = {1, 1, height_, 256};
    for (int d = 0; d < 4 && blocks_.count() < 4 * threads_; ++d) {
      int64_t parts = std::min(ceil_div(4 * threads_, blocks_.count()), ceil_div(blocks_.extent[d], least[d]));
      if (blocks_.count() == 1 && parts > threads_) parts -= parts % threads_;
      blocks_.cut(d, parts);
    }
    if (blocks_.count() < threads_) blocks_.cut(2, std::min<int64_t>(threads_, blocks_.extent[2]));
  }

  // Whether the arrays lie as they must and the kernels serve the problem.
  static bool serves(const Kernels<T>& kernels, const Problem& p, bool has_residual) {
    const Axis& x = p.axis[2];
    return p.outputs == 1 && p.groups >= kernels.lanes && p.image.group == 1 && p.result.group == 1 && !has_residual &&
           (p.pad_mode == CK_PAD_ZEROS || x.inside()) && (x.dilation == 1 || x.stride == 1) &&
           p.axis[0].taps * p.axis[1].taps <= most_lines && kernels.sweep(1, 0, x.taps, x.stride);
  }

  int threads() const { return threads_; }
  int64_t tasks() const { return blocks_.count(); }
  int64_t staged() const { return together_ * height_ * under_way_ * lanes_; }  // elements a thread needs

  // packed: [panel][tap][lane]; where the last panel is not full, another one follows with the last whole vector.
  bool task(const ck_spec& spec, const ck_operands& o, const T* packed, int64_t index, int carry_slot) const {
    const Block block = blocks_[index];
    T* carry = scratch_of<T>(carry_slot, staged());
    if (!carry) return false;
    const Axis &z = p_.axis[0], &y = p_.axis[1], &x = p_.axis[2];
    SweepJob<T> job;
    job.carry = carry;
    job.clamp = spec.clamp != 0, job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    job.weight_step = p_.taps() * lanes_;
    const T* image = static_cast<const T*>(o.image.data) + p_.image.offset;
    T* result = static_cast<T*>(o.result.data) + p_.result.offset;
    const T* rows[most_lines];
    ptrdiff_t weight[most_lines], inside[most_lines];
    alignas(64) static const T zeros[max_panel_lanes] = {};
    T* out[max_sweep_lines];
    job.rows = rows, job.weight = weight, job.inside = inside, job.out = out;
    for (int64_t b = block.start[0]; b < block.start[0] + block.extent[0]; ++b)
      for (int64_t qz = block.start[1]; qz < block.start[1] + block.extent[1]; ++qz) {
        const T* sample = image + b * p_.image.batch;
        T* plane = result + b * p_.result.batch + qz * p_.result.axis[0] + block.start[3] * p_.result.axis[2];
        const int64_t end = block.start[2] + block.extent[2];
        for (int64_t qy = block.start[2], height; qy < end; qy += height) {
          const int64_t top = qy * y.stride - y.pad;
          height = std::min<int64_t>(height_, end - qy);
          job.lines = 0;
          if (height > 1) {
            const T* plane_in = sample + qz * p_.image.axis[0];
            for (; job.lines < (height - 1) * y.stride + y.taps; ++job.lines) {
              const int64_t iy = pad_index(p_.pad_mode, top + job.lines, y.in);
              inside[job.lines] = iy < 0 ? 0 : -1;
              rows[job.lines] = iy < 0 ? zeros : plane_in + iy * p_.image.axis[1];
            }
          } else {
            for (int64_t tz = 0; tz < z.taps; ++tz) {
              const int64_t iz = pad_index(p_.pad_mode, qz * z.stride + tz * z.dilation - z.pad, z.in);
              for (int64_t ty = 0; iz >= 0 && ty < y.taps; ++ty) {
                const int64_t iy = pad_index(p_.pad_mode, top + ty * y.dilation, y.in);
                if (iy < 0) continue;
                inside[job.lines] = -1;
                rows[job.lines] = sample + iz * p_.image.axis[0] + iy * p_.image.axis[1];
                weight[job.lines++] = (tz * y.taps + ty) * x.taps * lanes_;
              }
            }
          }
          for (int64_t h = 0; h < height; ++h) out[h] = plane + (qy + h) * p_.result.axis[1];
          const bool all = job.lines == z.taps * y.taps;
          lines(height > 1 ? several_[height]
                : all      ? one_
                           : some_,
                job, block, height, static_cast<const T*>(o.bias), packed);
        }
      }
    return true;
  }

 private:
  // All channels of some lines of outputs: vectors that stay together, by stretches of the lines.
  void lines(SweepFunction<T> run, SweepJob<T>& job, const Block& block, int64_t height, const T* bias,
             const T* packed) const {
    const Axis& x = p_.axis[2];
    const int64_t whole = p_.groups / lanes_, part = p_.groups % lanes_;
    const int64_t columns = std::min(x.dilation, block.extent[3]);  // residues of the dilation
    for (int64_t j = 0; j < whole; j += together_) {
      const int64_t count = std::min(together_, whole - j);
      const int64_t step_bytes = (job.lines * x.stride + height) * count * lanes_ * int64_t{sizeof(T)};
      for (int64_t residue = 0; residue < columns; ++residue) {
        // Column i of this residue is column at + i * dilation of the image, the first inside it being `lead`.
        const int64_t pad = x.pad - block.start[3] * x.stride - residue;
        job.lead = pad > 0 ? ceil_div(pad, x.dilation) : -(-pad / x.dilation);
        const int64_t at = job.lead * x.dilation - pad;
        job.in = x.in > at ? ceil_div(x.in - at, x.dilation) : 0;
        job.pixel = p_.image.axis[2] * x.dilation, job.out_step = p_.result.axis[2] * x.dilation;
        job.steps = ceil_div(block.extent[3] - residue, x.dilation) + under_way_;
        const int64_t stretch =
            even_piece(job.steps, std::max<int64_t>(8 * under_way_ + 1, cpu_info().l1 / 2 / step_bytes));
        const auto vectors = [&](int64_t first, int64_t used, const T* weights) {
          job.row_offset = first + at * p_.image.axis[2], job.out_offset = first + residue * p_.result.axis[2];
          job.bias = bias ? bias + first : nullptr;
          job.weights = weights, job.vectors = used;
          for (job.first = 0; job.first < job.steps; job.first = job.last) {
            job.last = std::min(job.first + stretch, job.steps);
            run(job);
          }
        };
        vectors(j * lanes_, count, packed + j * job.weight_step);
        if (part && j + count == whole) vectors(p_.groups - lanes_, 1, packed + (whole + 1) * job.weight_step);
      }
    }
  }

  const Kernels<T>& kernels_;
  const Problem& p_;
  Region blocks_;
  int64_t lanes_;
  int threads_;
  SweepFunction<T> one_, some_, several_[max_sweep_lines + 1] = {};  // all lines of taps, some; lines at once
  int height_;                                                       // the most of them
  int64_t together_;                                                 // vectors of channels in a kernel call
  int64_t under_way_;  // sums of a line that a stretch leaves to the next one
};

}  // namespace convkern
