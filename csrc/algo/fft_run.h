// One call of `fft` on one problem: what its tasks do, and how they are shared out. A block goes through three loops:
// columns of the image tiles to spectra; rows, products and rows back, a group of column frequencies at a time; columns
// back to outputs. Each is either shared by all threads, or done by the one that has the block (a loop inside a task
// runs on the task's own thread), whatever layout.apart says; the bits are the same.
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
enum FftSlot { column_slot, stage_slot, spectra_slot, table_slot, weights_slot, kernel_slot };

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
struct FftRun {
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

  // The columns [x, x + n) of a tile as lines that lie together: f(offset of a line where the columns are stored side
  // by side, row, first element along x, how many of it are there, how many it has). Whole rows of one line are one.
  template <class F>
  void each_row(int64_t count_y, int64_t count_x, int64_t x, int64_t n, F&& f) const {
    const FftCut& c = cut();
    if (c.one_line && n == c.nx) return f(0, 0, 0, std::min(count_x, c.numbers()), c.numbers());
    for (int64_t r = 0; r < c.rows(); ++r) {
      const int64_t e = c.one_line ? r * c.nx + x : x;
      f(r * n, r, e, !c.one_line && r >= count_y ? 0 : std::clamp<int64_t>(count_x - e, 0, n), n);
    }
  }

  // The spectra of the columns [x, x + n) of a tile that lies at `source`, rows `pitch` apart.
  void transform_columns(const T* source, ptrdiff_t pitch, int64_t x, int64_t n, T* to, ptrdiff_t group,
                         T* column) const {
    const int64_t w = kernels.lanes;
    for (int64_t v = 0; v < n; v += w) {
      kernels.fft.forward(tables.columns(), {source + v, pitch, cut().ny * pitch}, column);
      kernels.fft.scatter(column, layout.groups, to + (x + v) * 2 * w, group);
    }
  }

  // The rows of one unit in all groups, and back.
  void transform_rows(T* unit, ptrdiff_t group) const {
    for (int64_t g = 0; g < layout.groups; ++g, unit += group)
      kernels.fft.forward(tables.rows(g), {unit, 2 * kernels.lanes, kernels.lanes}, unit);
  }
  void invert_rows(T* unit, ptrdiff_t group) const {
    for (int64_t g = 0; g < layout.groups; ++g, unit += group)
      kernels.fft.inverse(tables.rows(g), unit, {unit, 2 * kernels.lanes, kernels.lanes});
  }
  // Whether rows are done with the columns, a unit at a time while it is in the nearest cache. A single product does
  // better with them.
  bool rows_with_columns() const { return layout.columns == cut().nx && layout.terms(layout.images()) * p.outputs > 1; }

  // ---- image

  struct Unit {  // a line of V: sample, planes, tile, and which image of the sum
    int64_t b, z, y, tile, image;
  };
  // Transforms the columns [x, x + n) of `run` channels from `at` on.
  void transform_image(const T* image, const Unit& at, int64_t run, int64_t x, int64_t n, T* to,
                       ptrdiff_t group) const {
    const FftCut& c = cut();
    T* column = scratch_of<T>(column_slot, 2 * c.ny * kernels.lanes);
    T* staged = scratch_of<T>(stage_slot, run * layout.channel_pitch());
    if (!column || !staged) return fail();
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
      return transform_columns(source, pitch, x, n, to, group, column);
    }
    const int64_t pitch = layout.channel_pitch();
    each_row(count_y, count_x, x, n, [&](int64_t offset, int64_t r, int64_t first, int64_t count, int64_t width) {
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
      int64_t lo = 0, hi = 0;  // of the run's numbers, those that go through transposes
      if (run > 1 && count) {
        lo = std::clamp<int64_t>(start < 0 ? ceil_div(-start, c.x.step) : 0, 0, count);
        hi = std::clamp<int64_t>(start < p.axis[2].in ? ceil_div(p.axis[2].in - start, c.x.step) : 0, lo, count);
        const T* there = from + (start + lo * c.x.step) * p.image.axis[2];
        kernels.store(there, p.image.axis[2] * c.x.step, hi - lo, run, {row + lo, 1, pitch}, {nullptr, 0, 0}, false, 0,
                      0);
      }
      for (int64_t i = 0; i < run; ++i) {
        T* line = row + i * pitch;
        const T* channel_from = from + i * p.image.channel;
        fill_line(channel_from, p.image.axis[2], p.axis[2], p.pad_mode, start, c.x.step, lo < hi ? lo : count, line);
        if (lo < hi)
          fill_line(channel_from, p.image.axis[2], p.axis[2], p.pad_mode, start + hi * c.x.step, c.x.step, count - hi,
                    line + hi);
        if (count < width) memset(line + count, 0, (width - count) * sizeof(T));
      }
    });
    for (int64_t i = 0; i < run; ++i)
      transform_columns(staged + i * pitch, n, x, n, to + i * layout.line, group, column);
  }

  // V for a block and a range of the sum.
  void transform_images(const T* image, const Block& block, int64_t begin, int64_t end, T* v, ptrdiff_t group) const {
    const int64_t count = end - begin, run = layout.image_run;
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
        at.image = begin + j;
        most = std::min(last - j, p.channels - at.image % p.channels);
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
          kernels.fft.forward(rows, {line, 2 * w, w}, line);
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
    T* column = scratch_of<T>(column_slot, 2 * c.ny * w);
    T* staged = scratch_of<T>(stage_slot, c.rows() * w);
    if (!column || !staged) return fail();
    memset(staged, 0, c.rows() * w * sizeof(T));
    const ptrdiff_t step_y = c.y.tap_step() * p.kernel.axis[1], step_x = c.x.tap_step() * p.kernel.axis[2];
    for (int64_t r = 0; r < (c.one_line ? c.rows() : ey.count); ++r) {
      const int64_t first = c.one_line ? r * c.nx + x : x, count = std::min(ex.count - first, w);
      if (count <= 0) break;
      const T* taps = from + (c.one_line ? 0 : r * step_y) + first * step_x;
      for (int64_t j = 0; j < count; ++j) staged[r * w + j] = taps[j * step_x];
    }
    transform_columns(staged, w, x, w, to, group, column);
  }

  // ---- products

  // table[tile][term]: where the image's line starts in a group of V.
  void fill_table(const Block& block, int64_t count, ptrdiff_t* table) const {
    const int64_t nz = layout.planes(0, block.extent[1]), ny = layout.planes(1, block.extent[2]);
    const int64_t lines = cut().one_line ? p.axis[1].taps : 1;
    for (int64_t row = 0; row < block.rows(); ++row) {
      const int64_t t = row % block.extent[3], y = row / block.extent[3] % block.extent[2];
      const int64_t z = row / block.extent[3] / block.extent[2] % block.extent[1];
      const int64_t b = row / block.extent[3] / block.extent[2] / block.extent[1];
      for (int64_t i = 0; i < count; ++i)
        for (int64_t tz = 0; tz < p.axis[0].taps; ++tz)
          for (int64_t ty = 0; ty < lines; ++ty) {
            const int64_t at_z = z * p.axis[0].stride + tz * p.axis[0].dilation;
            const int64_t at_y = cut().one_line ? y * p.axis[1].stride + ty * p.axis[1].dilation : 0;
            *table++ = ((((b * nz + at_z) * ny + at_y) * block.extent[3] + t) * count + i) * layout.line;
          }
    }
  }

  // ---- results

  // Transforms the columns [x, x + n) of outputs [o, o + run) back and stores what they hold.
  void store_columns(int64_t g, const Block& at, int64_t o, int64_t run, int64_t x, int64_t n, const T* sums,
                     ptrdiff_t group) const {
    const FftCut& c = cut();
    const int64_t w = kernels.lanes, pitch = layout.channel_pitch(), b = at.start[0];
    const FftAxis::Tile ty = c.y.tile(at.start[3] / c.x.tiles()), tx = c.x.tile(at.start[3] % c.x.tiles());
    const int64_t count_y = ty.count, used = c.one_line ? n : std::clamp<int64_t>(tx.count - x, 0, n);
    if (count_y == 0 || tx.count <= x) return;
    T* column = scratch_of<T>(column_slot, 2 * c.ny * w);
    T* staged = scratch_of<T>(stage_slot, run * pitch);
    if (!column || !staged) return fail();
    const T* given = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    const ptrdiff_t step_y = c.y.out_step(), step_x = c.x.out_step();
    const auto base = [&](auto* data, const Problem::Result& r) {
      if (data)
        data += r.offset + g * r.group + b * r.batch + o * r.output + at.start[1] * r.axis[0] + tx.first * r.axis[2] +
                (c.one_line ? at.start[2] : ty.first) * r.axis[1];
      return data;
    };
    T* out = base(static_cast<T*>(operands.result.data), p.result);
    const T* extra = base(static_cast<const T*>(operands.residual.data), p.residual);
    const T lo = static_cast<T>(spec.lo), hi = static_cast<T>(spec.hi);
    const T limits[] = {lo, hi};
    const bool plain = run == 1 && !extra && step_x * p.result.axis[2] == 1;
    bool finite = true;
    for (int64_t i = 0; i < run; ++i) {
      for (int64_t v = 0; v < used; v += w) {
        kernels.fft.gather(sums + i * layout.line + (x + v) * 2 * w, group, layout.groups, column);
        kernels.fft.inverse(tables.columns(), column, {staged + i * pitch + v, n, c.ny * n});
      }
      const T bias = given ? given[g * p.outputs + o + i] : T(0);
      T* lines = staged + i * pitch;
      if (!c.one_line) {
        finite &= kernels.fft.finish(lines, n, count_y, used, bias, plain ? out + x : lines,
                                     plain ? step_y * p.result.axis[1] : n, plain && spec.clamp ? limits : nullptr);
      } else {
        each_row(1, tx.count, x, n, [&](int64_t offset, int64_t, int64_t first, int64_t count, int64_t) {
          if (count)
            finite &= kernels.fft.finish(lines + offset, 0, 1, count, bias, plain ? out + first : lines + offset, 0,
                                         plain && spec.clamp ? limits : nullptr);
        });
      }
    }
    if (!finite) tainted[spec.direction == CK_GRAD_WEIGHT ? g : b].store(true, std::memory_order_relaxed);
    if (plain) return;
    each_row(count_y, tx.count, x, n, [&](int64_t offset, int64_t r, int64_t first, int64_t count, int64_t) {
      if (!count) return;
      const auto at_row = [&](const Problem::Result& v) {
        return (c.one_line ? 0 : r * step_y * v.axis[1]) + first * step_x * v.axis[2];
      };
      kernels.store(staged + offset, pitch, run, count,
                    MatrixView<T>{out + at_row(p.result), p.result.output, step_x * p.result.axis[2]},
                    MatrixView<const T>{extra ? extra + at_row(p.residual) : nullptr, p.residual.output,
                                        step_x * p.residual.axis[2]},
                    spec.clamp != 0, lo, hi);
    });
  }

  // ---- blocks

  // u: U of the group, all terms (null: made here, chunk by chunk, from kernel).
  void block(int64_t g, const Block& block, const T* u, const T* kernel) const {
    const int64_t w = kernels.lanes, outputs = p.outputs, rows = block.rows(), images = layout.images();
    const int64_t nx = cut().nx, line = layout.line, groups = layout.groups;
    const int64_t read = layout.read(block), written = layout.written(block);
    T* v = scratch_of<T>(spectra_slot, (read + written) * layout.unit());
    auto* table = static_cast<ptrdiff_t*>(scratch(table_slot, layout.table(block) * sizeof(ptrdiff_t)));
    T* own = u ? nullptr : scratch_of<T>(kernel_slot, layout.kernel_elements(layout.chunk));
    if (!v || !table || (!u && !own)) return fail();
    T* sums = layout.in_place ? v : v + read * layout.unit();
    const ptrdiff_t v_group = read * line, s_group = layout.in_place ? v_group : written * line;
    const T* image = static_cast<const T*>(operands.image.data) + p.image.offset + g * p.image.group;
    for (int64_t chunk = 0; chunk < layout.chunks; ++chunk) {
      const int64_t begin = chunk * layout.chunk, end = std::min(begin + layout.chunk, images), count = end - begin;
      if (count <= 0) break;
      const int64_t terms = layout.terms(count), pitch = u ? layout.terms(images) : terms;
      if (!u) transform_kernel(kernel, begin, end, own);
      transform_images(image, block, begin, end, v, v_group);
      fill_table(block, count, table);
      const bool last = chunk + 1 == layout.chunks, done = rows_with_columns();
      const auto transform = [&](int64_t group, int64_t from, int64_t to) {
        const FftLine<T> rows = tables.rows(group);
        for (int64_t i = from; !done && i < to; ++i) {
          T* at = v + group * v_group + i * line;
          kernels.fft.forward(rows, {at, 2 * w, w}, at);
        }
      };
      const auto multiply = [&](int64_t group, int64_t from, int64_t to) {
        FftProduct<T> job;
        job.first = from, job.last = to, job.tiles = rows, job.outputs = outputs, job.terms = terms;
        job.image = v + group * v_group, job.tile = table;
        job.kernel_output = pitch * 2 * w, job.kernel_point = outputs * job.kernel_output;
        job.kernel = (u ? u + layout.terms(begin) * 2 * w : own) + group * nx * job.kernel_point;
        job.result = sums + group * s_group;
        job.result_output = line, job.result_tile = outputs * line;
        job.add = chunk > 0;
        kernels.fft.product(job);
      };
      const auto invert = [&](int64_t group, int64_t from, int64_t to) {
        const FftLine<T> rows = tables.rows(group);
        for (int64_t i = from; last && !done && i < to; ++i) {
          T* at = sums + group * s_group + i * line;
          kernels.fft.inverse(rows, at, {at, 2 * w, w});
        }
      };
      const int64_t lines = (read / layout.chunk) * count, results = rows * outputs;
      // Few groups are cut across: lines for the transforms, frequencies for the products.
      const int64_t split = layout.apart || groups >= 4 * layout.threads ? 1 : ceil_div(4 * layout.threads, groups);
      const auto share = [&](int64_t n, auto&& part) {
        parallel_for(groups * split, layout.threads, [&](int64_t task, int) {
          const int64_t i = task % split;
          part(task / split, i * n / split, (i + 1) * n / split);
        });
      };
      if (split == 1) {
        parallel_for(groups, layout.threads, [&](int64_t group, int) {
          transform(group, 0, lines);
          multiply(group, 0, nx);
          invert(group, 0, results);
        });
      } else {
        if (!done) share(lines, transform);
        share(nx, multiply);
        if (!done && last) share(results, invert);
      }
    }
    const int64_t columns = layout.columns, parts = ceil_div(nx, columns), run = layout.result_run;
    const int64_t runs = ceil_div(outputs, run);
    parallel_for(rows * runs * parts, layout.threads, [&](int64_t task, int) {
      const int64_t x = task % parts * columns, o = task / parts % runs * run, row = task / parts / runs;
      Block at = block;
      at.start[3] += row % block.extent[3];
      at.start[2] += row / block.extent[3] % block.extent[2];
      at.start[1] += row / block.extent[3] / block.extent[2] % block.extent[1];
      at.start[0] += row / block.extent[3] / block.extent[2] / block.extent[1];
      const int64_t n = std::min(run, outputs - o);
      T* from = sums + (row * outputs + o) * line;
      for (int64_t k = 0; rows_with_columns() && k < n; ++k) invert_rows(from + k * line, s_group);
      store_columns(g, at, o, n, x, std::min(columns, nx - x), from, s_group);
    });
    scratch_release(spectra_slot);
  }

  // u: U of all groups, or null.
  void all(const T* u) const {
    const int64_t blocks = layout.blocks.count();
    const auto* kernel = static_cast<const T*>(operands.kernel.data);
    parallel_for(p.groups * blocks, layout.apart ? layout.threads : 1, [&](int64_t task, int) {
      const int64_t g = task / blocks;
      block(g, layout.blocks[task % blocks], u ? u + g * layout.kernel_elements(layout.images()) : nullptr,
            kernel ? kernel + p.kernel.offset + g * p.kernel.group : nullptr);
    });
  }
  void all_kernels(T* u) const {
    const auto* kernel = static_cast<const T*>(operands.kernel.data) + p.kernel.offset;
    const int64_t images = layout.images();
    const bool many = p.groups >= 2 * layout.threads;
    parallel_for(p.groups, many ? layout.threads : 1, [&](int64_t g, int) {
      transform_kernel(kernel + g * p.kernel.group, 0, images, u + g * layout.kernel_elements(images));
    });
  }
};

}  // namespace convkern
