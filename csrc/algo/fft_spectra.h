// What tasks of one `fft` call read: columns and rows of image tiles to spectra V, and the kernel's taps to spectra U.
// A tile's columns are staged a panel at a time, with borders and zeros filled in, and transformed where they lie.
#pragma once

#include <atomic>

#include "algo/fft_lines.h"
#include "algo/fft_tiles.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {

// Slot 6 holds the marks of redo.h.
enum FftSlot { stage_slot, spectra_slot, table_slot, weights_slot, kernel_slot };

// to[e] for n numbers: image index start + e * step, beyond the image by the padding mode.
template <class T>
void fill_line(const T* from, ptrdiff_t stride, const Axis& axis, int mode, int64_t start, int64_t step, int64_t n,
               T* to) {
  const int64_t lo = std::clamp<int64_t>(start < 0 ? ceil_div(-start, step) : 0, 0, n);
  const int64_t hi = std::clamp<int64_t>(start < axis.in ? ceil_div(axis.in - start, step) : 0, lo, n);
  const auto border = [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    if (mode == CK_PAD_ZEROS) {
      memset(to + begin, 0, (end - begin) * sizeof(T));
      return;
    }
    for (int64_t e = begin; e < end; ++e) {
      const int64_t i = pad_index(mode, start + e * step, axis.in);
      to[e] = i < 0 ? T(0) : from[i * stride];
    }
  };
  border(0, lo);
  const T* inside = from + (start + lo * step) * stride;
  const ptrdiff_t by = step * stride;
  if (by == 1 && hi > lo)
    memcpy(to + lo, inside, (hi - lo) * sizeof(T));
  else
    for (int64_t e = lo; e < hi; ++e, inside += by) to[e] = *inside;
  border(hi, n);
}

// One call on one problem: everything the tasks share.
template <class T>
struct FftSpectra {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const Problem& p;
  const FftLayout& layout;
  const FftTables<T>& tables;
  std::atomic<bool>* tainted;  // per sample, or per group of a weight gradient
  std::atomic<bool>* failed;

  const FftCut& cut() const { return layout.cut; }
  void fail() const { failed->store(true, std::memory_order_relaxed); }

  struct Range {
    int64_t begin, end;
  };
  // The columns [x, x + n) of a tile as lines that lie together: f(offset of a line where the columns are stored side
  // by side, row, first element along x, how many of it are there, how many it has). Whole rows of one line are one.
  // Some rows are skipped.
  template <class F>
  void each_row(Range skipped, int64_t count_y, int64_t count_x, int64_t x, int64_t n, F&& f) const {
    const FftCut& c = cut();
    if (c.one_line && n == c.nx) return f(0, 0, 0, std::min(count_x, c.numbers()), c.numbers());
    for (int64_t r = skipped.begin == 0 ? skipped.end : 0; r < c.rows(); ++r) {
      if (r == skipped.begin && skipped.end > r) r = skipped.end;
      if (r == c.rows()) break;
      const int64_t e = c.one_line ? r * c.nx + x : x;
      f(r * n, r, e, !c.one_line && r >= count_y ? 0 : std::clamp<int64_t>(count_x - e, 0, n), n);
    }
  }

  // The spectra of the columns [x, x + n) of a tile that lies at `source`, rows `pitch` apart; `column` may be there.
  void transform_columns(const T* source, ptrdiff_t pitch, int64_t x, int64_t n, T* to, ptrdiff_t group,
                         T* column) const {
    const int64_t w = kernels.lanes, ny = cut().ny;
    const bool there = pitch == n;
    kernels.fft.forward(tables.columns(n / w), {source, there ? w : pitch, ny * pitch}, {column, w, ny * n});
    for (int64_t v = 0; v < n; v += w)
      kernels.fft.scatter({column + v, n, ny * n}, layout.groups, to + (x + v) * 2 * w, group);
  }

  // The rows of one unit in all groups, and back.
  void transform_rows(T* unit, ptrdiff_t group) const {
    for (int64_t g = 0; g < layout.groups; ++g, unit += group) kernels.fft.rows(tables.rows(g), unit);
  }
  // Whether rows are done with the columns, a unit at a time while it is in the nearest cache. A single product does
  // better with them (fft_run.h).
  bool rows_with_columns() const { return layout.columns == cut().nx && !layout.in_place; }

  // ---- image

  struct Unit {  // a line of V: sample, planes, tile, and which image of the sum
    int64_t b, z, y, tile, image;
  };
  // Of `count` numbers of an axis from the image index `start` on, those that are inside the image.
  static Range within(const FftAxis& a, int64_t start, int64_t count) {
    const int64_t lo = std::clamp<int64_t>(start < 0 ? ceil_div(-start, a.step) : 0, 0, count);
    return {lo, std::clamp<int64_t>(start < a.axis.in ? ceil_div(a.axis.in - start, a.step) : 0, lo, count)};
  }
  // Part `i` of `parts` of the image that the first tile of a block reads.
  FftAhead ahead(const T* image, const Block& next, int64_t i, int64_t parts) const {
    const FftCut& c = cut();
    const FftAxis::Tile ty = c.y.tile(next.start[3] / c.x.tiles()), tx = c.x.tile(next.start[3] % c.x.tiles());
    const Range x = within(c.x, tx.start, c.x.size);
    const Range y = c.one_line ? Range{0, 1} : within(c.y, ty.start, c.y.size);
    const int64_t z = pad_index(p.pad_mode, next.start[1] - p.axis[0].pad, p.axis[0].in);
    const int64_t line = c.one_line ? pad_index(p.pad_mode, next.start[2] - p.axis[1].pad, p.axis[1].in) : 0;
    const ptrdiff_t step = c.x.step * p.image.axis[2], step_y = c.y.step * p.image.axis[1];
    if (z < 0 || line < 0 || x.begin == x.end || y.begin == y.end || step <= 0) return {nullptr, 0, 0, 0};
    const T* base = image + next.start[0] * p.image.batch + z * p.image.axis[0] + line * p.image.axis[1] +
                    (tx.start + x.begin * c.x.step) * p.image.axis[2];
    const int64_t near = 64 / int64_t{sizeof(T)}, lines = ceil_div((x.end - x.begin) * step, near) + 1;
    if (c.one_line) {
      const int64_t first = i * lines / parts;
      return {reinterpret_cast<const char*>(base + first * near), 0, 1, (i + 1) * lines / parts - first};
    }
    const int64_t rows = y.end - y.begin, first = i * rows / parts;
    base += ty.start * p.image.axis[1] + (y.begin + first) * step_y;
    return {reinterpret_cast<const char*>(base), step_y * int64_t{sizeof(T)}, (i + 1) * rows / parts - first, lines};
  }

  // Transforms the columns [x, x + n) of `run` channels from `at` on, a panel at a time.
  void transform_image(const T* image, const Unit& at, int64_t run, int64_t x, int64_t n, T* to,
                       ptrdiff_t group) const {
    T* staged = scratch_of<T>(stage_slot, run * layout.channel_pitch());
    if (!staged) return fail();
    for (int64_t end = x + n; x < end; x += layout.panel)
      transform_panel(image, at, run, x, std::min(layout.panel, end - x), to, group, staged);
  }
  void transform_panel(const T* image, const Unit& at, int64_t run, int64_t x, int64_t n, T* to, ptrdiff_t group,
                       T* staged) const {
    const FftCut& c = cut();
    const int64_t e = at.image / p.channels, channel = at.image % p.channels;
    const FftAxis::Tile ty = c.y.tile(at.tile / c.x.tiles()), tx = c.x.tile(at.tile % c.x.tiles());
    const FftAxis::Part ey = c.y.of(e / c.x.parts()), ex = c.x.of(e % c.x.parts());
    const auto needed = [](int64_t outs, int64_t taps) { return outs && taps ? outs + taps - 1 : 0; };
    const int64_t count_y = std::min(needed(ty.count, ey.count), c.y.size);  // the rest, if any, is zeros
    const int64_t count_x = std::min(needed(tx.count, ex.count), c.x.size);
    const int64_t start_y = ty.start + ey.offset, start_x = tx.start + ex.offset;
    const int64_t z = pad_index(p.pad_mode, at.z, p.axis[0].in);
    const int64_t line_y = c.one_line ? pad_index(p.pad_mode, at.y, p.axis[1].in) : 0;
    const bool seen = z >= 0 && line_y >= 0;
    const T* base = image + at.b * p.image.batch + channel * p.image.channel;
    if (seen) base += z * p.image.axis[0] + line_y * p.image.axis[1];
    const auto inside = [](const FftAxis& a, int64_t start, int64_t count) {
      return start >= 0 && start + (count - 1) * a.step < a.axis.in;
    };
    const int64_t last = c.one_line ? c.numbers() : x + n;
    const bool whole = count_x >= last && (c.one_line || (count_y == c.rows() && inside(c.y, start_y, c.rows())));
    if (run == 1 && seen && whole && p.image.axis[2] * c.x.step == 1 && inside(c.x, start_x, last)) {
      const ptrdiff_t pitch = c.one_line ? c.nx : p.image.axis[1] * c.y.step;
      const T* source = base + start_x * p.image.axis[2] + (c.one_line ? 0 : start_y * p.image.axis[1]) + x;
      return transform_columns(source, pitch, x, n, to, group, staged);
    }
    const int64_t pitch = layout.channel_pitch();
    // Of a single channel whose pixels lie together, what is inside the image is copied at once.
    const bool together = run == 1 && seen && !c.one_line && p.image.axis[2] * c.x.step == 1;
    const Range rows = together ? within(c.y, start_y, count_y) : Range{0, 0};
    const Range line_part = within(c.x, start_x + x * c.x.step, std::clamp<int64_t>(count_x - x, 0, n));
    const bool across = line_part.begin == 0 && line_part.end == n, blank = together && p.pad_mode == CK_PAD_ZEROS;
    if (blank && !across) memset(staged, 0, c.rows() * n * sizeof(T));
    if (rows.end > rows.begin)
      kernels.fft.copy(base + (start_y + rows.begin * c.y.step) * p.image.axis[1] + start_x + x + line_part.begin,
                       c.y.step * p.image.axis[1], rows.end - rows.begin, line_part.end - line_part.begin,
                       staged + rows.begin * n + line_part.begin, n);
    if (blank) {
      if (across) memset(staged, 0, rows.begin * n * sizeof(T));
      if (across) memset(staged + rows.end * n, 0, (c.rows() - rows.end) * n * sizeof(T));
      return transform_columns(staged, n, x, n, to, group, staged);
    }
    const Range skipped = across ? rows : Range{0, 0};
    each_row(skipped, count_y, count_x, x, n,
             [&](int64_t offset, int64_t r, int64_t first, int64_t count, int64_t width) {
               const bool copied = r >= rows.begin && r < rows.end;
               T* row = staged + offset;
               const T* from = base;
               if (!c.one_line) {
                 const int64_t i = pad_index(p.pad_mode, start_y + r * c.y.step, p.axis[1].in);
                 if (i < 0)
                   count = 0;
                 else
                   from += i * p.image.axis[1];
               }
               if (!seen) count = 0;
               const int64_t start = start_x + first * c.x.step;
               int64_t lo = 0, hi = 0;  // of the run's numbers, those that are there already or go through transposes
               if (copied) {
                 lo = line_part.begin, hi = line_part.end;
               } else if (run > 1 && count) {
                 const Range there = within(c.x, start, count);
                 lo = there.begin, hi = there.end;
                 kernels.store(from + (start + lo * c.x.step) * p.image.axis[2], p.image.axis[2] * c.x.step, hi - lo,
                               run, {row + lo, 1, pitch}, {nullptr, 0, 0}, false, 0, 0);
               }
               for (int64_t i = 0; i < run; ++i) {
                 T* line = row + i * pitch;
                 const T* channel_from = from + i * layout.image_step;
                 fill_line(channel_from, p.image.axis[2], p.axis[2], p.pad_mode, start, c.x.step, lo < hi ? lo : count,
                           line);
                 if (lo < hi)
                   fill_line(channel_from, p.image.axis[2], p.axis[2], p.pad_mode, start + hi * c.x.step, c.x.step,
                             count - hi, line + hi);
                 if (count < width) memset(line + count, 0, (width - count) * sizeof(T));
               }
             });
    for (int64_t i = 0; i < run; ++i)
      transform_columns(staged + i * pitch, n, x, n, to + i * layout.line, group, staged + i * pitch);
  }

  // V for a block and a range of the sum, or of `members` groups.
  void transform_images(const T* image, const Block& block, int64_t begin, int64_t end, int64_t members, T* v,
                        ptrdiff_t group) const {
    const int64_t count = (end - begin) * members, run = layout.image_run;
    const int64_t nz = layout.planes(0, block.extent[1]), ny = layout.planes(1, block.extent[2]);
    const int64_t z0 = block.start[1] * p.axis[0].stride - p.axis[0].pad;
    const int64_t y0 = block.start[2] * p.axis[1].stride - p.axis[1].pad;
    const int64_t columns = layout.columns, parts = ceil_div(cut().nx, columns), runs = ceil_div(count, run);
    const int64_t tiles = block.extent[0] * nz * ny * block.extent[3];
    parallel_for(tiles * runs * parts, layout.threads, [&](int64_t task, int) {
      const int64_t x = task % parts * columns, n = std::min(columns, cut().nx - x);
      const int64_t i = task / parts % runs * run, unit = task / parts / runs;
      Unit at;
      at.tile = block.start[3] + unit % block.extent[3];
      at.y = y0 + unit / block.extent[3] % ny;
      at.z = z0 + unit / block.extent[3] / ny % nz;
      at.b = block.start[0] + unit / block.extent[3] / ny / nz;
      const int64_t last = std::min(i + run, count);
      for (int64_t j = i, most; j < last; j += most) {  // channels of one part
        at.image = members > 1 ? 0 : begin + j;
        most = members > 1 ? last - j : std::min(last - j, p.channels - at.image % p.channels);
        T* to = v + (unit * count + j) * layout.line;
        transform_image(image, at, most, x, n, to, group);
        for (int64_t k = 0; rows_with_columns() && k < most; ++k) transform_rows(to + k * layout.line, group);
      }
    });
  }

  // ---- kernel

  // U for a range of the sum.
  void transform_kernel(const T* kernel, int64_t begin, int64_t end, T* u) const {
    const FftCut& c = cut();
    const int64_t w = kernels.lanes, sums = layout.plane_taps(), terms = (end - begin) * sums,
                  pairs = terms * p.outputs;
    const int64_t unit_bytes = layout.unit() * layout.element;
    const int64_t most = std::clamp<int64_t>(cpu_info().l2 / 4 / unit_bytes, 1, ceil_div(pairs, layout.threads));
    const int64_t jobs = ceil_div(pairs, most), parts = ceil_div(c.nx, w);
    const T scale = static_cast<T>(1.0L / static_cast<long double>(c.ny * c.nx));
    parallel_for(jobs, jobs >= layout.threads ? layout.threads : 1, [&](int64_t job, int) {
      const int64_t first = job * most, count = std::min(most, pairs - first);
      T* spectra = scratch_of<T>(weights_slot, count * layout.unit());
      if (!spectra) return fail();
      const ptrdiff_t group = count * layout.line;
      parallel_for(count * parts, layout.threads, [&](int64_t task, int) {
        const int64_t x = task % parts * w, pair = task / parts;
        kernel_columns(kernel, begin, (first + pair) / terms, (first + pair) % terms, x, spectra + pair * layout.line,
                       group);
      });
      parallel_for(layout.groups, layout.threads, [&](int64_t g, int) {
        const FftLine<T> rows = tables.rows(g);
        T* lines = spectra + g * group;
        for (int64_t pair = 0; pair < count; ++pair) {
          T* line = lines + pair * layout.line;
          kernels.fft.rows(rows, line);
        }
        // All pairs of a frequency, which lie together in U, at a time.
        for (int64_t x = 0; x < c.nx; ++x)
          kernels.fft.keep(lines + x * 2 * w, layout.line, count, scale, u + ((g * c.nx + x) * pairs + first) * 2 * w);
      });
    });
  }
  void kernel_columns(const T* kernel, int64_t begin, int64_t o, int64_t term, int64_t x, T* to,
                      ptrdiff_t group) const {
    const FftCut& c = cut();
    const int64_t w = kernels.lanes, sums = layout.plane_taps(), image = begin + term / sums, plane = term % sums;
    const int64_t lines = c.one_line ? p.axis[1].taps : 1, e = image / p.channels;
    const FftAxis::Part ey = c.y.of(e / c.x.parts()), ex = c.x.of(e % c.x.parts());
    const T* from = kernel + o * p.kernel.output + image % p.channels * p.kernel.channel +
                    plane / lines * p.kernel.axis[0] + ex.first * p.kernel.axis[2] +
                    (c.one_line ? plane % lines : ey.first) * p.kernel.axis[1];
    if (ex.count <= x || ey.count == 0) {
      for (int64_t g = 0; g < layout.groups; ++g) memset(to + g * group + x * 2 * w, 0, 2 * w * w * sizeof(T));
      return;
    }
    T* staged = scratch_of<T>(stage_slot, c.rows() * w);
    if (!staged) return fail();
    memset(staged, 0, c.rows() * w * sizeof(T));
    const ptrdiff_t step_y = c.y.tap_step() * p.kernel.axis[1], step_x = c.x.tap_step() * p.kernel.axis[2];
    for (int64_t r = 0; r < (c.one_line ? c.rows() : ey.count); ++r) {
      const int64_t first = c.one_line ? r * c.nx + x : x, count = std::min(ex.count - first, w);
      if (count <= 0) break;
      const T* taps = from + (c.one_line ? 0 : r * step_y) + first * step_x;
      for (int64_t j = 0; j < count; ++j) staged[r * w + j] = taps[j * step_x];
    }
    transform_columns(staged, w, x, w, to, group, staged);
  }
};

}  // namespace convkern
