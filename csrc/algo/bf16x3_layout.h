// How a lowered problem becomes products of bfloat16 tiles. A block's part of the image is staged once, as two planes
// of bfloat16 with channels innermost; along x and y every stride-th line of it lies together, and a line is as long as
// makes  row r = (q_y, q_x) = q_y * line + q_x  a constant number of elements from row r - 1. So 16 rows, one after the
// other, are a tile, also where they run from one line of outputs into the next: the few rows in between are computed
// in vain. Zeros to the right of a line are those to the left of the next one.
// The terms of a sum come in runs that lie together in the staged image, cut into steps of 32:
//   (t_z, t_y, t_x, c) with runs of c, or of (t_x, c) where that leaves less of a step empty.
// Pure arithmetic: knows no memory.
#pragma once

#include <algorithm>

#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/cpu.h"

namespace convkern {

// The staged part of an image that serves a block of one sample and one z.
struct Bf16Stage {
  int64_t line;    // pixels from a line to the next one, a multiple of the stride along x
  int64_t lines;   // of each residue of the stride along y
  int64_t width;   // pixels of a line that the image, or a padding mode, fills
  int64_t rows;    // of the product, those between lines included
  int64_t pixels;  // in all, with what is read past the end
};

struct Bf16Layout {
  int64_t run, run_steps, runs, steps;  // terms of a run, its steps; runs and steps of a sum
  bool along_x;                         // runs are of (t_x, c)
  bool gaps;                            // between the columns that windows read, perhaps
  int64_t pitch;                        // elements from a pixel to the next one
  Region blocks;
  int64_t panels, splits;  // of the outputs, and the parts that threads share them out in
  bool columns_outside;    // a panel goes past all rows of a block before the next one does
  int threads;

  Bf16Layout(const Problem& p, int most_threads) {
    const Axis& x = p.axis[2];
    const int64_t taps_x = x.taps, outer = p.axis[0].taps * p.axis[1].taps;
    const int64_t apart = taps_x * ceil_div(p.channels, bf16_depth),
                  together = ceil_div(taps_x * p.channels, bf16_depth);
    along_x = x.dilation == 1 && together < apart;
    gaps = taps_x < x.stride || (taps_x > 1 && x.dilation > 1);
    run = along_x ? taps_x * p.channels : p.channels;
    run_steps = ceil_div(run, bf16_depth);
    runs = along_x ? outer : outer * taps_x;
    steps = runs * run_steps;
    pitch = along_x ? p.channels : spread_pitch(p.channels, sizeof(uint16_t));
    panels = ceil_div(p.outputs, bf16_panel);
    cut(p, most_threads);
  }

  int64_t kernel_elements() const { return panels * panel_elements(); }  // of a group; the last panel may be narrow
  int64_t panel_elements() const { return steps * 4 * bf16_tile; }
  int columns(const Problem& p, int64_t j) const {  // tiles of panel j
    return p.outputs - j * bf16_panel > bf16_columns ? 2 : 1;
  }

  Bf16Stage stage(const Problem& p, const int64_t (&extent)[4]) const {
    const Axis &y = p.axis[1], &x = p.axis[2];
    const int64_t reach = (extent[3] - 1) * x.stride + (x.taps - 1) * x.dilation + 1;
    const int64_t reach_y = (extent[2] - 1) * y.stride + (y.taps - 1) * y.dilation + 1;
    Bf16Stage s;
    s.width = s.line = reach;
    if (p.pad_mode == CK_PAD_ZEROS && extent[3] == x.out && x.pad >= 0) {
      s.width = std::min(reach, x.in + x.pad);
      s.line = std::max({s.width, reach - x.pad, (extent[3] - 1) * x.stride + 1});
    }
    s.line = round_up(s.line, x.stride);
    s.lines = ceil_div(reach_y, y.stride);
    s.rows = (extent[2] - 1) * (s.line / x.stride) + extent[3];
    const int64_t missing = std::max<int64_t>(0, bf16_rows - s.rows) * x.stride;
    s.pixels = p.axis[0].taps * y.stride * s.lines * s.line + std::max<int64_t>(0, reach - s.line) + missing;
    return s;
  }
  // Elements of one plane; both are read up to a step past a pixel's channels.
  int64_t plane(const Bf16Stage& s) const { return round_up(s.pixels * pitch + bf16_depth, 32) + 32; }
  int64_t stage_bytes(const Problem& p, const int64_t (&extent)[4]) const {
    return extent[0] * 2 * plane(stage(p, extent)) * int64_t{sizeof(uint16_t)};
  }
  int64_t line_elements(const Problem& p) const {  // of a line of pixels before it is split
    const Block b = blocks.largest();
    return ((b.extent[3] - 1) * p.axis[2].stride + (p.axis[2].taps - 1) * p.axis[2].dilation + 1) * pitch;
  }
  int64_t bytes(const Problem& p) const {
    return stage_bytes(p, blocks.largest().extent) + line_elements(p) * int64_t{sizeof(float)} +
           steps * int64_t{sizeof(ptrdiff_t)};
  }

 private:
  bool fits(const Problem& p, int64_t most) const { return stage_bytes(p, blocks.largest().extent) <= most; }

  // Blocks of a z and some lines of a sample, as many as a share of L2 holds, or of several samples.
  void cut(const Problem& p, int most_threads) {
    const int64_t l2 = cpu_info().l2, kernel_bytes = kernel_elements() * int64_t{sizeof(uint16_t)};
    const int64_t most = l2 * 3 / 8;
    const bool large = kernel_bytes > l2 / 2;
    columns_outside = large;
    blocks = all_outputs(p, p.axis[1].out, p.axis[2].out);
    blocks.cut(3, 1);
    while (blocks.piece(3) > 2 * bf16_rows && !fits(p, most)) blocks.cut(3, 2 * blocks.parts[3]);
    const auto grow = [&](int d) {
      const int64_t whole = blocks.extent[d];
      for (int64_t parts = 1; parts < whole; parts *= 2) {
        blocks.cut(d, parts);
        if (fits(p, most)) return;
      }
      blocks.cut(d, whole);
    };
    if (blocks.parts[3] == 1) grow(2);
    if (large && blocks.parts[3] == 1 && blocks.parts[2] == 1 && blocks.extent[1] == 1) grow(0);

    const double tiles = static_cast<double>(p.groups * p.batch * ceil_div(p.pixels(), bf16_rows) * panels * 2);
    const double cycles = tiles * (48.0 * static_cast<double>(steps) + 60);
    threads = cycles > serial_cycles(64) ? most_threads : 1;
    splits = 1;
    const auto tasks = [&] { return p.groups * blocks.count() * splits; };
    if (threads > 1 && large && tasks() < threads) splits = std::min(panels, ceil_div(threads, tasks()));
    // An even share for every thread: more blocks of fewer lines, then of fewer pixels of a line, then panels.
    for (int d : {0, 2, 3}) {
      if (tasks() % threads == 0 || tasks() >= 8 * threads) return;
      const int64_t others = tasks() / blocks.parts[d], fewest = d == 3 ? 2 * bf16_rows : 1;
      for (int64_t n = blocks.parts[d]; n * fewest <= blocks.extent[d] && n < blocks.parts[d] + threads; ++n) {
        if (others * n % threads != 0) continue;
        blocks.cut(d, n);
        break;
      }
    }
    if (tasks() < threads) splits = std::min(panels, ceil_div(threads, p.groups * blocks.count()));
  }
};

// Bytes of the least that can be staged: a window of a line of outputs.
inline int64_t bf16_window_bytes(const Problem& p) {
  double bytes = 4.0 * static_cast<double>(p.channels * p.axis[0].taps);
  bytes *= static_cast<double>((p.axis[1].taps - 1) * p.axis[1].dilation + p.axis[1].stride);
  const int64_t outputs = std::min<int64_t>(p.axis[2].out, 2 * bf16_rows) * p.axis[2].stride;
  bytes *= static_cast<double>((p.axis[2].taps - 1) * p.axis[2].dilation + outputs + bf16_rows * p.axis[2].stride);
  return bytes < 1e15 ? static_cast<int64_t>(bytes) : INT64_MAX;
}

}  // namespace convkern
