// Winograd where the sum is short (few channels, phases of a stride included): tiles lie in the lanes of the input
// transform, and the products of a tile stay in registers until they are outputs (kernels/winograd_few.h). A task is
// some lines of tiles of a sample: their pixels are staged with every column of the patches side by side,
//   staged[c][y][q][n] = x[c][y][n * m * s + q],   V[j][k][i][n], k = (jx, jy, c),   then line by line the outputs.
// k begins with the phases along x, so that those that count at infinity come first.
#pragma once

#include "algo/winograd_form.h"
#include "runtime/arena.h"

namespace convkern {

template <class T>
struct WinogradFewLayout {
  int64_t blocks, parts;   // what the lines of tiles of a sample, and the tiles of a line, are cut into
  int64_t lines, columns;  // the most of a block
  int64_t pitch;           // of a line of tiles: whole vectors
  int64_t depth, far_depth;
  int lanes;

  WinogradFewLayout(const Kernels<T>& kernels, const Form& f, const Problem& p, int threads)
      : depth(f.phases() * p.channels), far_depth(0), lanes(kernels.lanes) {
    for (int64_t jx = 0; jx < f.x.summed; ++jx)
      if (f.x.taps_of_phase(jx, p.axis[2].taps) == f.x.r) far_depth += f.y.summed * p.channels;
    parts = ceil_div(f.x.tiles, 64);
    columns = ceil_div(f.x.tiles, parts);
    pitch = round_up(columns, lanes);
    // Every line of tiles stages t - m lines of pixels that the one before it had, too.
    const int64_t samples = p.batch * p.groups * p.axis[0].out, wanted = ceil_div(4 * threads, samples * parts);
    const int64_t most = cpu_info().l2 / 4;
    for (lines = std::min<int64_t>(f.y.tiles, 8); lines > 1; --lines)
      if (ceil_div(f.y.tiles, lines) >= wanted && staged(f, p).elements * int64_t{sizeof(T)} <= most) break;
    blocks = ceil_div(f.y.tiles, lines);
    // An even share for every thread.
    for (int64_t n = blocks; n < blocks + threads && n <= f.y.tiles; ++n)
      if (samples * parts * n % threads == 0) {
        blocks = n;
        break;
      }
    lines = ceil_div(f.y.tiles, blocks);
  }

  // Whether this way serves a problem, and is the faster one: as far as the problem alone tells.
  static bool serves(const Kernels<T>& kernels, const WinogradKernels<T>& winograd, const Form& f, const Problem& p) {
    const bool dense = f.y.step == f.y.summed && f.x.step == f.x.summed;  // patches without holes between their points
    return winograd.few && f.slices == 1 && dense && p.channels < kernels.lanes && f.phases() * p.channels <= 48;
  }
  // The pixels of `count` lines of `width` tiles.
  Box box(const Form& f, const Problem& p, int64_t line, int64_t count, int64_t tile, int64_t width) const {
    const int64_t y = f.y.m * p.axis[1].stride, x = f.x.m * p.axis[2].stride;
    return {0,
            1,
            0,
            p.channels,
            {-p.axis[0].pad, line * y - p.axis[1].pad, tile * x - p.axis[2].pad},
            {1, (count - 1) * y + f.y.t * f.y.summed, (width - 1) * x + f.x.t * f.x.summed}};
  }
  StagedLayout staged(const Form& f, const Problem& p) const {
    return staged_layout(StagedLayout::x, box(f, p, 0, lines, 0, columns), f.x.m * p.axis[2].stride, 2 * lanes,
                         sizeof(T));
  }
  int64_t output_elements(const Form& f, int64_t width) const { return f.y.m * f.x.m * columns * width; }
  int64_t group(const Problem& p, int64_t task) const { return task * p.groups / tasks(p); }
  int64_t tasks(const Problem& p) const { return p.groups * p.batch * p.axis[0].out * blocks * parts; }
  int64_t bytes(const Form& f, const Problem& p, int64_t width) const {
    return (staged(f, p).elements + f.points() * depth * pitch + output_elements(f, width)) * int64_t{sizeof(T)} +
           2 * depth * int64_t{sizeof(Tap)};
  }
};

// One call on one problem: everything the tasks share.
template <class T>
struct WinogradFewRun {
  enum Slot { staged_slot, input_slot, output_slot };

  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const WinogradKernels<T>& winograd;
  const Problem& p;
  const WinogradLayout<T>& layout;  // of the transformed kernel
  const WinogradFewLayout<T>& few;
  std::atomic<bool>* tainted;  // per sample: a NaN or an infinity appeared

  // kernel: transformed, of the task's group.
  bool task(int64_t index, const T* kernel) const {
    const Form& f = layout.form;
    const auto next = [&](int64_t count) {
      const int64_t i = index % count;
      index /= count;
      return i;
    };
    const int64_t part = next(few.parts), line = next(few.blocks), z = next(p.axis[0].out), b = next(p.batch);
    const int64_t g = index, begin = line * f.y.tiles / few.blocks, end = (line + 1) * f.y.tiles / few.blocks;
    const int64_t tile = part * f.x.tiles / few.parts, tiles = (part + 1) * f.x.tiles / few.parts - tile;
    const StagedLayout to = few.staged(f, p);
    T* staged = scratch_of<T>(staged_slot, to.elements);
    T* input = scratch_of<T>(input_slot, f.points() * few.depth * few.pitch);
    T* output = scratch_of<T>(output_slot, few.output_elements(f, layout.panels.width(0)));
    if (!staged || !input || !output) return false;
    Box box = few.box(f, p, begin, end - begin, tile, tiles);
    box.b0 = b;
    box.start[0] += z * p.axis[0].stride;
    stage(kernels, p, static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group, box, to, staged);
    for (int64_t i = begin; i < end; ++i) {
      transform(staged + (i - begin) * f.y.m * p.axis[1].stride * to.axis_pitch[1], to, input);
      for (int64_t j = 0; j < layout.panels.panels; ++j)
        if (!outputs(Block{{b, z, i * f.y.m, tile * f.x.m}, {1, 1, f.y.m, tiles}}, g, j, kernel, input, output))
          tainted[b].store(true, std::memory_order_relaxed);
    }
    return true;
  }

  // V of a line of tiles.
  void transform(const T* from, const StagedLayout& to, T* v) const {
    const TileAxis &y = layout.form.y, &x = layout.form.x;
    for (int64_t jx = 0; jx < x.summed; ++jx) {
      ptrdiff_t column[16];
      for (int64_t j = 0; j < x.t; ++j) column[j] = to.x_offset(jx + j * x.step);
      for (int64_t jy = 0; jy < y.summed; ++jy)
        for (int64_t c = 0; c < p.channels; ++c, v += y.t * few.pitch)
          winograd.few_input(from + c * to.channel_pitch + jy * to.axis_pitch[1], y.step * to.axis_pitch[1], column,
                             few.pitch / few.lanes, v, few.pitch, few.depth * y.t * few.pitch);
    }
  }

  // The outputs of a line of tiles and panel j. at: where they begin; lines of outputs, tiles of them.
  bool outputs(Block at, int64_t g, int64_t j, const T* kernel, const T* input, T* output) const {
    const Form& f = layout.form;
    const Panels<T>& panels = layout.panels;
    const int64_t w = panels.width(j), used = panels.used(j), tiles = at.extent[3];
    const int64_t columns = std::min(tiles * f.x.m, p.axis[2].out - at.start[3]);
    T bias[max_panel_lanes];
    const T* given = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    for (int64_t l = 0; l < w; ++l) bias[l] = given && l < used ? given[g * p.outputs + panels.start(j) + l] : T(0);
    const auto view = [&](auto* data, const Problem::Result& r) {
      if (data) data += first_output(r, g, at) + panels.start(j) * r.output;
      return MatrixView<std::remove_reference_t<decltype(*data)>>{data, r.axis[2], r.output};
    };
    T* result = static_cast<T*>(operands.result.data);
    const T* residual = static_cast<const T*>(operands.residual.data);
    const bool plain = p.result.output == 1 && used == w && !residual;
    WinogradFew<T> job = {};
    job.v = input, job.pitch = few.pitch;
    job.u = kernel + layout.kernel_start(j);
    job.depth = few.depth, job.far_depth = few.far_depth;
    job.tiles = tiles, job.vectors = w / few.lanes;
    job.bias = given ? bias : nullptr;
    job.clamp = plain && spec.clamp;
    job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    job.out = plain ? view(result, p.result).data : output;
    job.row = plain ? p.result.axis[1] : columns * w;
    job.column = plain ? p.result.axis[2] : w;
    job.rows = std::min(f.y.m, p.axis[1].out - at.start[2]), job.columns = columns;
    const bool finite = winograd.few(job);
    // Whole lines that follow one another in the result are one.
    const auto follow = [&](const Problem::Result& r) { return r.axis[1] == columns * r.axis[2]; };
    const bool whole = follow(p.result) && (!residual || follow(p.residual));
    const int64_t once = whole ? job.rows : 1;
    for (int64_t i = 0; !plain && i < job.rows; i += once, at.start[2] += once)
      kernels.store(output + i * job.row, w, once * columns, used, view(result, p.result), view(residual, p.residual),
                    spec.clamp != 0, job.lo, job.hi);
    return finite;
  }
};

}  // namespace convkern
