// One call of `fft` on one problem: what its tasks do, and how they are shared out. A block goes through three loops:
// columns of the image tiles to spectra; rows, products and rows back, a group of column frequencies at a time; columns
// back to outputs. Each is either shared by all threads, or done by the one that has the block (a loop inside a task
// runs on the task's own thread), whatever layout.apart says; the bits are the same.
#pragma once

#include "algo/fft_spectra.h"

namespace convkern {

// One call on one problem.
template <class T>
struct FftRun : FftSpectra<T> {
  using Base = FftSpectra<T>;
  using Base::cut, Base::fail, Base::ahead, Base::each_row, Base::rows_with_columns, Base::transform_images,
      Base::transform_kernel;
  using Base::spec, Base::operands, Base::kernels, Base::p, Base::layout, Base::tables, Base::tainted;

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

  // Transforms the columns [x, x + n) of outputs [o, o + run) of a group, or of that many groups, back and stores what
  // they hold, a panel at a time.
  void store_columns(int64_t g, const Block& at, int64_t o, int64_t run, int64_t x, int64_t n, const T* sums,
                     ptrdiff_t group) const {
    T* staged = scratch_of<T>(stage_slot, run * layout.channel_pitch());
    if (!staged) return fail();
    for (int64_t end = x + n; x < end; x += layout.panel)
      store_panel(g, at, o, run, x, std::min(layout.panel, end - x), sums, group, staged);
  }
  void store_panel(int64_t g, const Block& at, int64_t o, int64_t run, int64_t x, int64_t n, const T* sums,
                   ptrdiff_t group, T* staged) const {
    const FftCut& c = cut();
    const int64_t w = kernels.lanes, pitch = layout.channel_pitch(), b = at.start[0];
    const FftAxis::Tile ty = c.y.tile(at.start[3] / c.x.tiles()), tx = c.x.tile(at.start[3] % c.x.tiles());
    const int64_t count_y = ty.count, used = c.one_line ? n : std::clamp<int64_t>(tx.count - x, 0, n);
    if (count_y == 0 || tx.count <= x) return;
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
      T* const lines = staged + i * pitch;
      for (int64_t v = 0; v < n; v += w)
        kernels.fft.gather(sums + i * layout.line + (x + v) * 2 * w, group, layout.groups, {lines + v, n, c.ny * n});
      kernels.fft.inverse(tables.columns(n / w), {lines, w, c.ny * n});
      const T bias = given ? given[g * p.outputs + o + i] : T(0);
      if (!c.one_line) {
        finite &= kernels.fft.finish(lines, n, count_y, used, bias, plain ? out + x : lines,
                                     plain ? step_y * p.result.axis[1] : n, plain && spec.clamp ? limits : nullptr);
      } else {
        each_row({0, 0}, 1, tx.count, x, n, [&](int64_t offset, int64_t, int64_t first, int64_t count, int64_t) {
          if (count)
            finite &= kernels.fft.finish(lines + offset, 0, 1, count, bias, plain ? out + first : lines + offset, 0,
                                         plain && spec.clamp ? limits : nullptr);
        });
      }
    }
    if (!finite) tainted[spec.direction == CK_GRAD_WEIGHT ? g : b].store(true, std::memory_order_relaxed);
    if (plain) return;
    each_row({0, 0}, count_y, tx.count, x, n, [&](int64_t offset, int64_t r, int64_t first, int64_t count, int64_t) {
      if (!count) return;
      const auto at_row = [&](const Problem::Result& v) {
        return (c.one_line ? 0 : r * step_y * v.axis[1]) + first * step_x * v.axis[2];
      };
      kernels.store(staged + offset, pitch, run, count,
                    MatrixView<T>{out + at_row(p.result), layout.step(p.result), step_x * p.result.axis[2]},
                    MatrixView<const T>{extra ? extra + at_row(p.residual) : nullptr, layout.step(p.residual),
                                        step_x * p.residual.axis[2]},
                    spec.clamp != 0, lo, hi);
    });
  }

  // ---- blocks

  // u: U of the group, all terms (null: made here, chunk by chunk, from kernel). Of `members` groups in place.
  // next: a block of the same groups that this thread does after it, or null.
  void block(int64_t g, int64_t members, const Block& block, const T* u, const T* kernel, const Block* next) const {
    const int64_t w = kernels.lanes, outputs = p.outputs, rows = block.rows(), images = layout.images();
    const int64_t nx = cut().nx, line = layout.line, groups = layout.groups;
    const int64_t read = layout.read(block) * members, written = layout.written(block);
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
      transform_images(image, block, begin, end, members, v, v_group);
      if (!layout.in_place) fill_table(block, count, table);
      const bool last = chunk + 1 == layout.chunks, done = rows_with_columns();
      const auto filter = [&](int64_t group, int64_t from, int64_t to) {
        const FftLine<T> rows = tables.rows(group);
        const int64_t unit = layout.kernel_elements(images);
        const T* spectra = (u ? u : own) + group * nx * 2 * w;
        const int64_t all = groups * read;
        for (int64_t i = from; i < to; ++i)
          kernels.fft.filter(rows, v + group * v_group + i * line, spectra + i % members * unit,
                             next ? ahead(image, *next, group * read + i, all) : FftAhead{nullptr, 0, 0, 0});
      };
      const auto transform = [&](int64_t group, int64_t from, int64_t to) {
        const FftLine<T> rows = tables.rows(group);
        for (int64_t i = from; !done && i < to; ++i) kernels.fft.rows(rows, v + group * v_group + i * line);
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
        for (int64_t i = from; last && !done && i < to; ++i)
          kernels.fft.rows_inverse(rows, sums + group * s_group + i * line);
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
      if (layout.in_place) {
        share(lines, filter);
      } else if (split == 1) {
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
    const int64_t together = outputs * members, runs = ceil_div(together, run);
    parallel_for(rows * runs * parts, layout.threads, [&](int64_t task, int) {
      const int64_t x = task % parts * columns, o = task / parts % runs * run, row = task / parts / runs;
      Block at = block;
      at.start[3] += row % block.extent[3];
      at.start[2] += row / block.extent[3] % block.extent[2];
      at.start[1] += row / block.extent[3] / block.extent[2] % block.extent[1];
      at.start[0] += row / block.extent[3] / block.extent[2] / block.extent[1];
      const int64_t n = std::min(run, together - o);
      T* from = sums + (row * together + o) * line;
      for (int64_t k = 0; rows_with_columns() && k < n; ++k)
        for (int64_t group = 0; group < groups; ++group)
          kernels.fft.rows_inverse(tables.rows(group), from + k * line + group * s_group);
      store_columns(g, at, o, n, x, std::min(columns, nx - x), from, s_group);
    });
    scratch_release(spectra_slot);
  }

  // u: U of all groups, or null.
  void all(const T* u) const {
    const int64_t blocks = layout.blocks.count();
    const auto* kernel = static_cast<const T*>(operands.kernel.data);
    const int64_t most = layout.members, parts = ceil_div(p.groups, most);
    // Several blocks in a row where there are plenty: then the next is known, and the kernel's spectra stay near.
    const int64_t strips = layout.apart ? std::min(blocks, ceil_div(8 * layout.threads, parts)) : blocks;
    parallel_for(parts * strips, layout.apart ? layout.threads : 1, [&](int64_t task, int) {
      const int64_t g = task / strips * most, strip = task % strips, last = (strip + 1) * blocks / strips;
      for (int64_t i = strip * blocks / strips; i < last; ++i) {
        const Block now = layout.blocks[i], next = layout.blocks[std::min(i + 1, blocks - 1)];
        block(g, std::min(most, p.groups - g), now, u ? u + g * layout.kernel_elements(layout.images()) : nullptr,
              kernel ? kernel + p.kernel.offset + g * p.kernel.group : nullptr, i + 1 < last ? &next : nullptr);
      }
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
