// One call of `direct` on one problem: a block of outputs at a time, with outputs or with pixels on the lanes.
//   for each chunk of k:  stage the block's part of the image, list rows and taps,
//     for each panel: pack its kernel chunk unless the plan did, multiply, and after the last chunk store.
#pragma once

#include <algorithm>

#include "algo/direct.h"
#include "core/operand.h"
#include "runtime/arena.h"

namespace convkern {

enum DirectSlot { stage_slot, table_slot, sums_slot, panel_slot, kernel_slot };

template <class T>
MatrixView<T> at_output(T* data, const Problem::Result& view, int64_t g, const Block& block, int64_t output,
                        ptrdiff_t row, ptrdiff_t column) {
  if (!data) return {nullptr, 0, 0};
  return {data + first_output(view, g, block) + output * view.output, row, column};
}

// Whether tiles of nearly equal height on a line of `count` outputs are about as tall as they can be.
inline bool fills_tiles(int64_t count, int64_t rows) { return 4 * count >= 3 * rows * ceil_div(count, rows); }

// Asks for lines that are to be written: `count` rows from `first` on.
template <class T>
void fetch(const MatrixView<T>& to, int64_t first, int64_t count, int64_t columns) {
  for (int64_t r = first; r < first + count; ++r)
    for (int64_t c = 0; c < columns; c += 64 / int64_t{sizeof(T)}) __builtin_prefetch(to.data + r * to.row + c, 1, 2);
}

// Everything the tasks of a call share.
template <class T>
struct DirectRun {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const Problem& p;
  const Orientation& orientation;
  const Blocking<T>& blocking;
  const T* packed;  // whole kernel of the problem, all groups, or null: tasks pack their chunks

  const T* image(int64_t g) const {
    return static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group;
  }
  const T* kernel(int64_t g) const {
    return static_cast<const T*>(operands.kernel.data) + p.kernel.offset + g * p.kernel.group;
  }
  T* result() const { return static_cast<T*>(operands.result.data); }
  const T* residual() const { return static_cast<const T*>(operands.residual.data); }
  const T* bias(int64_t g) const {
    return p.bias_per_output && operands.bias ? static_cast<const T*>(operands.bias) + g * p.outputs : nullptr;
  }

  // The rows and taps of a block and chunk; null rows where memory is out.
  bool view(int64_t g, const Block& block, const Chunk& chunk, ImageView<T>* out) const;
  // Panel j of a chunk of the kernel; null where memory is out.
  const T* kernel_panel(int64_t g, int64_t j, int64_t chunk) const;
  bool outputs_on_lanes(int64_t g, const Block& block, const Block& region, int64_t panel_begin,
                        int64_t panel_end) const;
  bool pixels_on_lanes(int64_t g, const Block& block, const Block& region, int64_t first, int64_t outputs) const;
  void gather(const ImageView<T>& v, const Block& block, int64_t pixel, int64_t count, int64_t channels, int64_t width,
              T* panel) const;
  bool task(int64_t index) const;

  void finish(const T* c, int64_t ldc, int64_t rows, int64_t columns, MatrixView<T> out,
              MatrixView<const T> extra) const {
    kernels.store(c, ldc, rows, columns, out, extra, spec.clamp != 0, static_cast<T>(spec.lo), static_cast<T>(spec.hi));
  }
};

template <class T>
bool DirectRun<T>::view(int64_t g, const Block& block, const Chunk& chunk, ImageView<T>* out) const {
  const bool on_pixels = orientation.pixels_on_lanes;
  Box box = touched(p, block, chunk);
  // Whole vectors are read past a line's last pixel, so lines in place must end where a vector does.
  const bool whole_lanes =
      !on_pixels || (block.extent[3] % kernels.lanes == 0 && p.image.axis[2] == 1 && p.axis[2].stride == 1);
  const bool crowded = blocking.collides && block.rows() > l1_ways;
  if (chunk.steps() == 0 || (whole_lanes && !crowded && inside(p, box))) {
    *out = ImageView<T>(p, image(g), box);
    return true;
  }
  const Problem q = on_pixels ? p : without_gaps(p);  // pixels that no window reads need no copy
  box = touched(q, block, chunk);
  const int64_t split = on_pixels ? q.axis[2].stride : 1;
  const StagedLayout layout = staged_layout(on_pixels ? StagedLayout::x : inner_dimension(q), box, split,
                                            blocking.panels.main->vectors * kernels.lanes, sizeof(T));
  T* staged = scratch_of<T>(stage_slot, layout.elements);
  if (!staged) return false;
  if (on_pixels && split == 1 && q.image.channel == 1 && q.image.axis[2] > 1)
    stage_lines(kernels, q, image(g), box, layout, staged);
  else
    stage(kernels, q, image(g), box, layout, staged);
  *out = ImageView<T>(q, staged, layout);
  return true;
}

template <class T>
const T* DirectRun<T>::kernel_panel(int64_t g, int64_t j, int64_t chunk) const {
  const Panels<T>& panels = blocking.panels;
  const Chunk whole = blocking.chunks[chunk];
  const int64_t w = panels.width(j), start = panels.start(j);
  if (packed) return packed + (g * panels.padded() + start) * p.depth() + whole.k0 * w;
  T* const fresh = scratch_of<T>(panel_slot, whole.depth * w);
  if (fresh) pack_panel(kernels, p, kernel(g) + start * p.kernel.output, whole, panels.used(j), w, fresh);
  return fresh;
}

template <class T>
bool DirectRun<T>::outputs_on_lanes(int64_t g, const Block& block, const Block& region, int64_t panel_begin,
                                    int64_t panel_end) const {
  const Panels<T>& panels = blocking.panels;
  const int64_t rows = block.rows(), chunks = blocking.chunks.count(), width = panels.width(0);
  ptrdiff_t pixel, extra_pixel = 0;
  const bool even = even_stride(p.result, block, &pixel);
  const bool contiguous = p.result.output == 1 && even;
  const bool even_extra = !residual() || even_stride(p.residual, block, &extra_pixel);
  const int64_t kept = chunks > 1 ? panel_end - panel_begin : 1;  // panels of sums alive at a time

  const int64_t depth = blocking.chunks.depth();
  char* table = static_cast<char*>(scratch(table_slot, rows * sizeof(char*) + 2 * depth * sizeof(Tap)));
  T* sums = scratch_of<T>(sums_slot, kept * rows * width);
  if (!table || !sums) return false;
  const char** row = reinterpret_cast<const char**>(table);
  Tap* tap = reinterpret_cast<Tap*>(table + rows * sizeof(char*));

  // Rows that meet all panels before the next do: whole lines where the block's outputs have no one stride.
  const bool by_lines = !even || !even_extra;
  const int64_t x = block.extent[3];
  int64_t together = rows;
  if (packed && chunks == 1 && blocking.rows_together < rows)
    together = by_lines ? round_up(blocking.rows_together, x) : blocking.rows_together;

  for (int64_t i = 0; i < chunks; ++i) {
    const Chunk chunk = seen(p, region, blocking.chunks[i]);
    const bool last = i + 1 == chunks;
    ImageView<T> v(p, nullptr, Box{});
    if (!view(g, block, chunk, &v)) return false;
    v.rows(block, row);
    TileJob<T> jobs[2] = {};  // of panels as wide as the first, and of the last
    v.list(chunk, true, width * ptrdiff_t{sizeof(T)}, tap, &jobs[0]);
    if (panels.width(panel_end - 1) != width)
      v.list(chunk, true, panels.width(panel_end - 1) * ptrdiff_t{sizeof(T)}, tap + depth, &jobs[1]);
    for (int64_t begin = 0, count; begin < rows; begin += count) {
      count = std::min(together, rows - begin);
      for (int64_t j = panel_begin; j < panel_end; ++j) {
        const int64_t w = panels.width(j), used = panels.used(j);
        TileJob<T>& job = jobs[w != width];
        const T* const panel = kernel_panel(g, j, i);
        if (!panel) return false;
        MatrixView<T> out = at_output(result(), p.result, g, block, panels.start(j), pixel, p.result.output);
        if (even) out.data += begin * pixel;
        const TileShape<T>& shape = panels.shape(j);
        const bool by_line = p.result.output == 1 && !even && used == w && fills_tiles(x, shape.rows);
        const bool in_result = by_line || (contiguous && used == w);
        T* c = in_result ? out.data : sums + (chunks > 1 ? (j - panel_begin) * rows * width : 0);
        const int64_t ldc = by_line ? p.result.axis[2] : in_result ? pixel : w;
        const bool plain = in_result && !residual();

        T padded_bias[max_panel_lanes];
        const T* start_bias = i == 0 ? bias(g) : nullptr;
        if (start_bias) {
          for (int64_t l = 0; l < w; ++l) padded_bias[l] = l < used ? start_bias[panels.start(j) + l] : T(0);
          start_bias = padded_bias;
        }
        job.ldc = ldc * ptrdiff_t{sizeof(T)};
        job.start = i > 0 ? Start::load : start_bias ? Start::lane_bias : Start::zero;
        job.clamp = spec.clamp && last && plain;
        job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
        const char* const columns = reinterpret_cast<const char*>(panel);
        if (!by_lines && count == shape.rows) fetch(out, count, std::min(count, rows - begin - count), used);
        const int64_t first_line = begin / x, lines = by_lines ? count / x : 0;
        if (by_line) {
          for (int64_t line = first_line; line < first_line + lines; ++line)
            multiply_panel(shape, job, row + line * x, x, columns,
                           result() + first_output(p.result, g, line_of(block, line)) + panels.start(j), start_bias);
        } else {
          multiply_panel(shape, job, row + begin, count, columns, c, start_bias);
        }
        if (!last || plain) continue;

        // Everything else goes through a store: line by line where the block's outputs have no one stride.
        MatrixView<const T> extra =
            at_output(residual(), p.residual, g, block, panels.start(j), extra_pixel, p.residual.output);
        if (!by_lines) {
          if (extra.data) extra.data += begin * extra_pixel;
          finish(c, ldc, count, used, out, extra);
          continue;
        }
        for (int64_t line = first_line; line < first_line + lines; ++line) {
          const Block one = line_of(block, line);
          const MatrixView<T> there =
              at_output(result(), p.result, g, one, panels.start(j), p.result.axis[2], p.result.output);
          finish(by_line ? there.data : c + (line - first_line) * x * ldc, ldc, x, used, there,
                 at_output(residual(), p.residual, g, one, panels.start(j), p.residual.axis[2], p.residual.output));
        }
      }
    }
  }
  return true;
}

// panel[c][i]: `count` pixels of a block, from the pixel-th on, of the chunk's channels.
template <class T>
void DirectRun<T>::gather(const ImageView<T>& v, const Block& block, int64_t pixel, int64_t count, int64_t channels,
                          int64_t width, T* panel) const {
  const int64_t length = block.extent[3];
  for (int64_t c = 0; count < width && c < channels; ++c)
    std::fill(panel + c * width + count, panel + (c + 1) * width, T(0));
  for (int64_t i = 0, n; i < count; i += n) {
    const int64_t x = (pixel + i) % length;
    n = std::min(count - i, length - x);
    const T* from = v.base + v.line(block, (pixel + i) / length) + x * v.row[2];
    if (v.channel == 1 && n == count)
      kernels.pack({from, 1, v.row[2]}, channels, n, panel, width);
    else
      kernels.every_nth(from, v.channel, v.row[2], n, panel + i, width, channels);
  }
}

template <class T>
bool DirectRun<T>::pixels_on_lanes(int64_t g, const Block& block, const Block& region, int64_t first,
                                   int64_t outputs) const {
  const bool gathers = gathers_pixels(p);
  const bool join = gathers && lines_join(p.result, block) && (!residual() || lines_join(p.residual, block));
  const int64_t together = join ? block.extent[1] * block.extent[2] : 1;  // lines
  const int64_t lines = block.lines() / together;
  const Panels<T> panels(kernels, *blocking.panels.main, together * block.extent[3]);
  const int64_t chunks = blocking.chunks.count(), width = panels.width(0);
  const int64_t rows_together = chunks == 1 && !gathers ? blocking.rows_together : outputs;
  char* table =
      static_cast<char*>(scratch(table_slot, outputs * sizeof(char*) + blocking.chunks.depth() * sizeof(Tap)));
  T* sums = scratch_of<T>(sums_slot, (chunks > 1 ? lines * panels.panels : 1) * outputs * width);
  T* gathered = gathers ? scratch_of<T>(stage_slot, blocking.chunks.depth() * width) : nullptr;
  if (!table || !sums || (gathers && !gathered)) return false;
  const char** row = reinterpret_cast<const char**>(table);
  Tap* tap = reinterpret_cast<Tap*>(table + outputs * sizeof(char*));

  for (int64_t i = 0; i < chunks; ++i) {
    const Chunk chunk = seen(p, region, blocking.chunks[i]);
    const bool last = i + 1 == chunks;
    ImageView<T> v(p, image(g), touched(p, block, chunk));
    if (!gathers && !view(g, block, chunk, &v)) return false;
    const T* weights = packed ? packed + (g * p.outputs + first) * p.depth() + chunk.k0 : nullptr;
    if (!packed) {
      T* fresh = scratch_of<T>(panel_slot, outputs * chunk.depth);
      if (!fresh) return false;
      pack_rows(p, kernel(g) + first * p.kernel.output, outputs, blocking.chunks[i], fresh);
      weights = fresh;
    }
    for (int64_t o = 0; o < outputs; ++o)
      row[o] = reinterpret_cast<const char*>(weights + o * (packed ? p.depth() : chunk.depth));

    TileJob<T> job = {};
    if (gathers) {
      *tap = {0, 0};
      job.taps = tap, job.listed = 1, job.run = chunk.steps();
      job.along.a = sizeof(T);
    } else {
      v.list(chunk, false, sizeof(T), tap, &job);
    }
    const T* const row_bias = bias(g) ? bias(g) + first : nullptr;
    job.start = i > 0 ? Start::load : row_bias ? Start::row_bias : Start::zero;
    job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    for (int64_t begin = 0, count; begin < outputs; begin += count) {
      count = std::min(rows_together, outputs - begin);
      for (int64_t line = 0; line < lines; ++line) {
        const Block one = line_of(block, line * together);
        const T* pixels = v.base + v.line(block, line * together);
        for (int64_t j = 0; j < panels.panels; ++j) {
          const int64_t used = panels.used(j), x = panels.start(j), w = panels.width(j);
          const T* panel = pixels + x;
          if (gathers) {
            gather(v, block, line * together * block.extent[3] + x, used, chunk.steps(), w, gathered);
            panel = gathered;
            job.along.b = w * ptrdiff_t{sizeof(T)};
          }
          MatrixView<T> out = at_output(result(), p.result, g, one, first + begin, p.result.output, p.result.axis[2]);
          MatrixView<const T> extra =
              at_output(residual(), p.residual, g, one, first + begin, p.residual.output, p.residual.axis[2]);
          out.data += x * out.column;
          if (extra.data) extra.data += x * extra.column;
          const bool in_result = p.result.axis[2] == 1 && used == w;
          const bool plain = in_result && !residual();
          T* c = in_result ? out.data : sums + (chunks > 1 ? (line * panels.panels + j) * outputs * width : 0);
          const int64_t ldc = in_result ? out.row : w;
          job.ldc = ldc * ptrdiff_t{sizeof(T)};
          job.clamp = spec.clamp && last && plain;
          multiply_panel(panels.shape(j), job, row + begin, count, reinterpret_cast<const char*>(panel), c,
                         row_bias ? row_bias + begin : nullptr);
          if (last && !plain) finish(c, ldc, count, used, out, extra);
        }
      }
    }
  }
  return true;
}

template <class T>
bool DirectRun<T>::task(int64_t index) const {
  const int64_t blocks = blocking.blocks.count(), splits = blocking.splits, panels = blocking.panels.panels;
  const bool inner = blocking.groups_inner;
  const int64_t g = inner ? index % p.groups : index / (blocks * splits);
  const int64_t split = (inner ? index / p.groups : index / blocks) % splits;
  Block region;
  const Block block = blocking.blocks.at(inner ? index / (p.groups * splits) : index % blocks, &region);
  const int64_t first = split * p.outputs / splits;
  const bool ok = orientation.pixels_on_lanes
                      ? pixels_on_lanes(g, block, region, first, (split + 1) * p.outputs / splits - first)
                      : outputs_on_lanes(g, block, region, split * panels / splits, (split + 1) * panels / splits);
  scratch_release(stage_slot);  // large only where a single window is
  return ok;
}

}  // namespace convkern
