// One problem by Winograd's tiles: the kernel transformed panel by panel, and the tasks that share out blocks of tiles.
//   V[p][tile][k] = B^T d B     M[p][tile][o] = sum_k V[p][tile][k] U[p][k][o]     Y = A^T M A
// Knows one lowered problem and its layout (winograd_form.h); phases, packing and NaN are winograd.cpp's business.
#pragma once

#include <atomic>

#include "algo/winograd_few.h"
#include "algo/winograd_form.h"
#include "core/operand.h"
#include "runtime/arena.h"

namespace convkern {

enum WinogradSlot { patch_slot, table_slot, input_slot, sums_slot, taps_slot, kernel_slot };

// U[p][k][o] of one panel of a group: packed as rows (c, tap), some channels at a time, and transformed phase by phase.
// Where the sum is short, U[vector][j][k][i][lane] of the points p = (i, j), k = (jx, jy, c).
template <class T>
bool transform_panel(const Kernels<T>& kernels, const WinogradKernels<T>& winograd, const Problem& p, const T* kernel,
                     const WinogradLayout<T>& layout, int64_t j, T* u) {
  const Panels<T>& panels = layout.panels;
  const TileAxis &y = layout.form.y, &x = layout.form.x;
  const int64_t w = panels.width(j), ky = p.axis[1].taps, kx = p.axis[2].taps, slices = layout.form.slices;
  const int64_t most = std::max<int64_t>(1, 144 / p.taps());  // channels at a time
  const bool short_sum = WinogradFewLayout<T>::serves(kernels, winograd, layout.form, p);
  // Phases with a tap less read zeros there: kernels are laid out with as many taps as all phases have.
  const int64_t lines = y.summed * y.r, line = x.summed * x.r * w, kernel_size = lines * line;
  const bool whole = lines == ky && line == kx * w;
  const int64_t filled = whole ? 0 : most * slices * kernel_size;
  T* taps = scratch_of<T>(taps_slot, (most * p.taps() + layout.points) * w + filled);
  if (!taps) return false;
  T* const points = taps + most * p.taps() * w;
  T* const grid = whole ? taps : points + layout.points * w;
  if (!whole) std::fill_n(grid, filled, T(0));
  Chunk chunk = Chunking(p, INT64_MAX)[0];
  for (int64_t c = 0; c < p.channels; c += most) {
    const int64_t n = std::min(most, p.channels - c);
    chunk.start[0] = c;
    chunk.extent[0] = chunk.whole[0] = n;
    pack_panel(kernels, p, kernel + panels.start(j) * p.kernel.output, chunk, panels.used(j), w, taps);
    for (int64_t i = 0; i < n * slices * ky && !whole; ++i)
      std::copy_n(taps + i * kx * w, kx * w, grid + i / ky * kernel_size + i % ky * line);
    // A phase at a time, so that few streams are written at once.
    for (int64_t jy = 0; jy < y.summed; ++jy)
      for (int64_t jx = 0; jx < x.summed; ++jx)
        for (int64_t i = 0; i < n * slices; ++i) {
          const T* from = grid + i * kernel_size + jy * line + jx * w;
          const ptrdiff_t row = y.summed * line, tap = x.summed * w;
          if (short_sum) {
            // Exchanged, the kernel gives points in the order (j, i).
            const int64_t k = (jx * y.summed + jy) * p.channels + c + i / slices, l = kernels.lanes, run = y.t * l;
            for (int64_t v = 0; v < w / l; ++v) {
              winograd.filter(from + v * l, tap, row, 1, points, l);
              for (int64_t column = 0; column < x.t; ++column)
                std::copy_n(points + column * run, run, u + ((v * x.t + column) * layout.depth + k) * run);
            }
            continue;
          }
          const int64_t k = ((i % slices * y.summed + jy) * x.summed + jx) * p.channels + c + i / slices;
          winograd.filter(from, row, tap, w / kernels.lanes, u + k * w, layout.kernel_point(j));
        }
  }
  return true;
}

// What a thread transformed last for itself, so that it does so once a call and not once a block.
struct OwnKernel {
  uint64_t call;
  int64_t group, split;
};
inline thread_local OwnKernel own_kernel = {0, 0, 0};
inline std::atomic<uint64_t> winograd_calls{0};

// The panels of one of `splits` parts in this thread's own memory: sharing them would cost more than doing them again.
template <class T>
const T* transform_own(const Kernels<T>& kernels, const WinogradKernels<T>& winograd, const Problem& p,
                       const ck_operands& operands, const WinogradLayout<T>& layout, uint64_t call, int64_t g,
                       int64_t split, int64_t splits) {
  T* own = scratch_of<T>(kernel_slot, layout.kernel_elements());
  if (!own) return nullptr;
  OwnKernel& done = own_kernel;
  if (done.call == call && done.group == g && done.split == split) return own;
  const T* kernel = static_cast<const T*>(operands.kernel.data) + p.kernel.offset + g * p.kernel.group;
  const int64_t panels = layout.panels.panels;
  for (int64_t j = split * panels / splits; j < (split + 1) * panels / splits; ++j)
    if (!transform_panel(kernels, winograd, p, kernel, layout, j, own + layout.kernel_start(j))) return nullptr;
  done = {call, g, split};
  return own;
}

// One call on one problem: everything the tasks share.
template <class T>
struct WinogradRun {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const WinogradKernels<T>& winograd;
  const Problem& p;
  const WinogradLayout<T>& layout;
  const T* packed;             // transformed kernel, all groups; null: each thread transforms what it uses
  uint64_t call;               // number of this call, never 0
  std::atomic<bool>* tainted;  // per sample: a NaN or an infinity appeared

  bool task(int64_t index) const {
    const int64_t blocks = layout.tiles.count(), panels = layout.panels.panels;
    const int64_t g = index / (blocks * layout.splits), split = index / blocks % layout.splits;
    const Block block = layout.tiles[index % blocks];
    const int64_t rows = block.rows(), columns = block.extent[3], cp = layout.channel_pitch;
    T* patch = scratch_of<T>(patch_slot, layout.patch_elements(p));
    T* input = scratch_of<T>(input_slot, layout.points * layout.input_point());
    T* sums = scratch_of<T>(sums_slot, layout.points * layout.sums_point() + layout.output_elements());
    char* table = static_cast<char*>(scratch(table_slot, layout.table_bytes(rows)));
    if (!patch || !input || !sums || !table) return false;
    T* output = sums + layout.points * layout.sums_point();

    const T* group_kernel = packed
                                ? packed + g * layout.kernel_elements()
                                : transform_own(kernels, winograd, p, operands, layout, call, g, split, layout.splits);
    if (!group_kernel) return false;
    // V[point][phase][sample][plane][tile][channel]
    const int64_t plane = block.extent[2] * columns * cp, sample = (block.extent[1] + layout.form.slices - 1) * plane;
    transform_input(g, block, patch, input, plane, sample);
    const char** row = reinterpret_cast<const char**>(table);
    for (int64_t point = 0, n = 0; point < layout.points; ++point)
      for (int64_t b = 0; b < block.extent[0]; ++b)
        for (int64_t z = 0; z < block.extent[1]; ++z)
          for (int64_t i = 0; i < plane / cp; ++i)
            row[n++] =
                reinterpret_cast<const char*>(input + point * layout.input_point() + b * sample + z * plane + i * cp);
    Tap* taps = reinterpret_cast<Tap*>(row + layout.points * rows);
    int64_t tap_width = 0, listed[4] = {};
    for (int64_t j = split * panels / layout.splits; j < (split + 1) * panels / layout.splits; ++j) {
      const int64_t w = layout.panels.width(j);
      if (w != tap_width)
        for (int far = 0; far < 4; ++far)
          listed[far] =
              list_taps(far & 2, far & 1, plane, block.extent[0] * sample, w, taps + far * layout.most_listed());
      tap_width = w;
      TileJob<T> job = {};
      job.ldc = w * ptrdiff_t{sizeof(T)};
      job.start = Start::zero;
      job.run = p.channels;
      job.along = {sizeof(T), w * ptrdiff_t{sizeof(T)}};
      const T* kernel = group_kernel + layout.kernel_start(j);
      const TileAxis &y = layout.form.y, &x = layout.form.x;
      for (int64_t point = 0; point < layout.points; ++point) {
        const int far = (y.t > 1 && point / x.t + 1 == y.t ? 2 : 0) + (point % x.t + 1 == x.t ? 1 : 0);
        job.taps = taps + far * layout.most_listed();
        job.listed = listed[far];
        multiply_panel(layout.panels.shape(j), job, row + point * rows, rows,
                       reinterpret_cast<const char*>(kernel + point * layout.kernel_point(j)),
                       sums + point * layout.sums_point(), static_cast<const T*>(nullptr));
      }
      for (int64_t line = 0; line < block.lines(); ++line)
        store_line(g, line_of(block, line), j, sums + line * columns * w, output);
    }
    return true;
  }

  // The taps of a product whose point is at infinity along y or x or neither: there, phases with a tap less are 0.
  int64_t list_taps(bool far_y, bool far_x, int64_t plane, int64_t phase, int64_t w, Tap* to) const {
    const TileAxis &y = layout.form.y, &x = layout.form.x;
    const Tap* const begin = to;
    for (int64_t z = 0; z < layout.form.slices; ++z)
      for (int64_t jy = 0; jy < y.summed; ++jy)
        for (int64_t jx = 0; jx < x.summed; ++jx) {
          if (far_y && y.taps_of_phase(jy, p.axis[1].taps) < y.r) continue;
          if (far_x && x.taps_of_phase(jx, p.axis[2].taps) < x.r) continue;
          const int64_t a = (jy * x.summed + jx) * phase + z * plane;
          const int64_t k = ((z * y.summed + jy) * x.summed + jx) * p.channels;
          *to++ = {a * ptrdiff_t{sizeof(T)}, k * w * ptrdiff_t{sizeof(T)}};
        }
    return to - begin;
  }

  // Lines start, start + step, ... of a plane, `lines` of them, staged with their channels side by side.
  void stage_lines(const T* image, int64_t z, int64_t start, int64_t lines, int64_t x, int64_t width, T* patch) const {
    const int64_t step = layout.form.y.step;
    for (int64_t i = 0; i < lines; ++i, patch += width * layout.channel_pitch)
      stage_channels_last(kernels, p, image, {0, 1, 0, p.channels, {z, start + i * step, x}, {1, 1, width}},
                          layout.channel_pitch, patch);
  }

  void transform_input(int64_t g, const Block& block, T* patch, T* input, int64_t plane, int64_t sample) const {
    const TileAxis &y = layout.form.y, &x = layout.form.x;
    const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
    const int64_t columns = block.extent[3], first = block.start[3], cp = layout.channel_pitch;
    const int64_t vectors = ceil_div(p.channels, kernels.lanes), point = layout.input_point();
    const int64_t reach_y = (y.t - 1) * y.step, reach_x = (x.t - 1) * x.step;
    const bool channels_last = p.image.channel == 1 && p.channels % kernels.lanes == 0;
    const int64_t line_x = x.first(first) * ax.stride - ax.pad;
    const int64_t width = layout.line_width(ax.stride, x.first(first + columns - 1) - x.first(first));
    const int64_t planes = sample / plane, phase = block.extent[0] * sample;
    for (int64_t b = 0; b < block.extent[0]; ++b)
      for (int64_t z = 0; z < planes; ++z)
        for (int64_t line = 0; line < block.extent[2]; ++line)
          for (int64_t jy = 0; jy < y.summed; ++jy) {
            const T* image = static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group +
                             (block.start[0] + b) * p.image.batch;
            const int64_t at_z = block.start[1] * az.stride + z * (planes > block.extent[1] ? 1 : az.stride) - az.pad;
            const int64_t at_y = y.first(block.start[2] + line) * ay.stride - ay.pad + jy;
            T* v = input + jy * x.summed * phase + b * sample + z * plane + line * columns * cp;
            if (!channels_last) stage_lines(image, at_z, at_y, y.t, line_x, width, patch);
            const bool inside_zy = at_z >= 0 && at_z < az.in && at_y >= 0 && at_y + reach_y < ay.in;
            for (int64_t i = 0; i < columns; ++i, v += cp)
              for (int64_t jx = 0; jx < x.summed; ++jx) {
                const int64_t at_x = x.first(first + i) * ax.stride - ax.pad + jx;
                if (!channels_last) {
                  winograd.input(patch + (at_x - line_x) * cp, width * cp, x.step * cp, vectors, v + jx * phase, point);
                } else if (inside_zy && at_x >= 0 && at_x + reach_x < ax.in) {
                  winograd.input(image + at_z * p.image.axis[0] + at_y * p.image.axis[1] + at_x * p.image.axis[2],
                                 y.step * p.image.axis[1], x.step * p.image.axis[2], vectors, v + jx * phase, point);
                } else {
                  stage_lines(image, at_z, at_y, y.t, at_x, reach_x + 1, patch);
                  winograd.input(patch, (reach_x + 1) * cp, x.step * cp, vectors, v + jx * phase, point);
                }
              }
          }
  }

  // Transforms one line of tiles back and stores its lines of outputs for panel j: whole tiles of whole vectors at once
  // where they go, others in `output` first.
  void store_line(int64_t g, const Block& line, int64_t j, const T* sums, T* output) const {
    const Panels<T>& panels = layout.panels;
    const TileAxis &y = layout.form.y, &x = layout.form.x;
    const int64_t w = panels.width(j), used = panels.used(j), columns = line.extent[3], first = line.start[3];
    T bias[max_panel_lanes];
    const T* given = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    for (int64_t l = 0; l < w; ++l) bias[l] = given && l < used ? given[g * p.outputs + panels.start(j) + l] : T(0);
    WinogradTile<T> staged = {};
    staged.point = layout.sums_point();
    staged.vectors = w / kernels.lanes;
    staged.bias = given ? bias : nullptr;
    staged.row = columns * x.m * w;
    staged.column = w;
    WinogradTile<T> placed = staged;
    placed.row = y.spread * p.result.axis[1];
    placed.column = x.spread * p.result.axis[2];
    placed.ahead = x.spread > 1 ? p.result.axis[2] : x.m * p.result.axis[2];
    placed.residual_row = y.spread * p.residual.axis[1];
    placed.residual_column = x.spread * p.residual.axis[2];
    placed.clamp = spec.clamp != 0;
    placed.lo = static_cast<T>(spec.lo);
    placed.hi = static_cast<T>(spec.hi);
    T* const result = static_cast<T*>(operands.result.data);
    const T* const residual = static_cast<const T*>(operands.residual.data);
    const int64_t top = y.first(line.start[2]), out = p.axis[2].out;
    const bool whole_lines = used == w && p.result.output == 1 && (!residual || p.residual.output == 1) &&
                             top + (y.m - 1) * y.spread < p.axis[1].out;
    bool finite = true;
    // Groups of tiles give lines without gaps, single tiles of a group evenly spaced outputs.
    for (int64_t i = 0, run; i < columns; i += run) {
      const int64_t groups = (first + i) % x.spread == 0 ? (columns - i) / x.spread : 0, from = x.first(first + i);
      const int64_t step = groups > 0 ? 1 : x.spread, covered = groups > 0 ? x.group() : x.m;
      run = groups > 0 ? groups * x.spread : 1;
      const int64_t count = std::min(std::max<int64_t>(1, groups) * covered, ceil_div(out - from, step));
      const int64_t whole = whole_lines && count > 0 ? count / covered : 0,
                    tiles = groups > 0 ? whole * x.spread : whole;
      Block at = line;
      at.start[2] = top;
      for (int64_t n = 0; n < tiles; ++n) {
        at.start[3] = x.first(first + i + n);
        placed.sums = sums + (i + n) * w;
        placed.out = result + first_output(p.result, g, at) + panels.start(j);
        if (residual) placed.residual = residual + first_output(p.residual, g, at) + panels.start(j);
        finite &= winograd.output(placed);
      }
      T* const begin = output + i * x.m * w;
      staged.column = groups > 0 ? x.spread * w : w;
      for (int64_t n = tiles; n < run; ++n) {
        staged.sums = sums + (i + n) * w;
        staged.out = begin + (x.first(first + i + n) - from) * w;
        finite &= winograd.output(staged);
      }
      const auto view = [&](auto* data, const Problem::Result& v) {
        if (data) data += first_output(v, g, at) + panels.start(j) * v.output;
        return MatrixView<std::remove_reference_t<decltype(*data)>>{data, step * v.axis[2], v.output};
      };
      at.start[3] = from + whole * covered;
      for (int64_t k = 0; k < y.m && count > whole * covered; ++k) {
        at.start[2] = top + k * y.spread;
        if (at.start[2] >= p.axis[1].out) break;
        kernels.store(begin + (k * columns * x.m + whole * covered) * w, w, count - whole * covered, used,
                      view(result, p.result), view(residual, p.residual), placed.clamp, placed.lo, placed.hi);
      }
    }
    if (!finite) tainted[line.start[0]].store(true, std::memory_order_relaxed);
  }
};

}  // namespace convkern
