// Cuts the problem of lines.h into tasks: bands of rows, converted where they are loaded and kept in L2 while one
// filter, or both, pass over them. Rows that need neither conversion nor extension are read in place.
#include "algo/lines.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include <algorithm>
#include <atomic>

#include "algo/line_stage.h"
#include "core/chunk.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { rows_slot, band_slot, middle_slot, line_slot, saved_slot, state_slot };

// Whether the weights mirror (1), mirror with the sign turned (-1) or neither; SciPy adds in pairs in the first two.
int symmetry_of(const LineFilter& f) {
  if (f.size % 2 == 0) return 0;
  bool even = true, odd = true;
  const double* centre = f.weights + f.size / 2;
  for (int64_t i = 1; i <= f.size / 2; ++i) {
    even = even && fabs(centre[i] - centre[-i]) <= DBL_EPSILON;
    odd = odd && fabs(centre[i] + centre[-i]) <= DBL_EPSILON;
  }
  return even ? 1 : odd ? -1 : 0;
}

// Weights in the element type.
struct Weights {
  Buffer copy;
  const void* data = nullptr;

  bool set(const LineFilter& f, bool as_float) {
    data = f.weights;
    if (!f.weights || !as_float) return true;
    if (!copy.allocate(f.size * int64_t{sizeof(float)})) return false;
    float* to = reinterpret_cast<float*>(copy.data);
    for (int64_t i = 0; i < f.size; ++i) to[i] = static_cast<float>(f.weights[i]);
    data = to;
    return true;
  }
};

struct Run {
  const LineJob& job;
  const LineTable& table;
  LineOp across, along;
  const LineKernels& kernels;
  int64_t element, width;                      // bytes of an element; elements of a row
  void (*save)(const void*, void*, int64_t);   // null where the output is of the element type
  void (*again)(const void*, void*, int64_t);  // what was saved, loaded for the second filter
  bool (*has_nan)(const void*, int64_t);       // null where there is none to look for
  LineStage lines;
  std::atomic<bool>* nan;

  const char* source(int64_t outer, int64_t y) const { return job.from + outer * job.from_outer + y * job.from_y; }
  char* target(int64_t outer, int64_t y) const {
    return job.to + (outer * job.ny + y) * width * line_type_size(job.out);
  }

  // n elements as the output's type would hold them.
  void round(char* line, int64_t n, char* saved) const {
    if (!save) return;
    save(line, saved, n);
    again(saved, line, n);
  }

  void look(int64_t outer, int64_t y, int64_t x, int64_t n) const {
    if (has_nan && has_nan(source(outer, y) + x * line_type_size(job.in), n)) nan->store(true);
  }

  // Lines [y0, y1), pixels [x0, x1), filtered along only.
  bool along_only(int64_t outer, int64_t y0, int64_t y1, int64_t x0, int64_t x1) const {
    const int64_t n = (x1 - x0) * job.inner, count = x1 - x0 + job.along.size - 1;
    char* line = scratch_of<char>(line_slot, count * job.inner * element);
    char* saved = save ? scratch_of<char>(saved_slot, n * element) : nullptr;
    if (!line || (save && !saved)) return false;
    for (int64_t y = y0; y < y1; ++y) {
      lines.stage(source(outer, y), x0 - job.along.before, count, line);
      look(outer, y, x0 * job.inner, n);
      char* to = target(outer, y) + x0 * job.inner * line_type_size(job.out);
      kernels.along(along, line, save ? saved : to, n);
      if (save) save(saved, to, n);
    }
    return true;
  }

  // Rows [y0, y1), elements [x0, x1) of each; with both filters, whole rows.
  bool band(int64_t outer, int64_t y0, int64_t y1, int64_t x0, int64_t x1, LineOp op) const {
    const bool both = job.along.size > 0, before = both && job.along_first, after = both && !job.along_first;
    const int64_t n = x1 - x0, extra = op.begun ? 1 : 0, count = y1 - y0 + job.across.size - 1 + extra;
    const bool in_groups = save || after || job.kind == line_sum;
    const int64_t group = in_groups ? std::min(y1 - y0, std::clamp<int64_t>(job.across.size, 8, 64)) : y1 - y0;
    const int64_t margin = after ? (job.along.size - 1) * job.inner : 0;
    const int64_t pitch = round_up((n + margin) * element + 64, 64), padded = width + (job.along.size - 1) * job.inner;
    const bool kept = lines.load || before;  // rows lie in the band rather than in the input
    const bool whole = count > job.ny;       // windows larger than the array: each of its rows is kept once
    // Rows that one group of outputs reads, and the one before them, have places of their own.
    const int64_t places = !kept ? 0 : whole ? job.ny : std::min(count, group + job.across.size);
    const int64_t row_bytes = round_up(n * element, 64);
    const void** rows = scratch_of<const void*>(rows_slot, count + group);
    char* held = scratch_of<char>(band_slot, (places + 1) * row_bytes);
    char* middle = save || after ? scratch_of<char>(middle_slot, group * pitch) : nullptr;
    char* line = before ? scratch_of<char>(line_slot, padded * element) : nullptr;
    char* saved = save || after ? scratch_of<char>(saved_slot, (n + padded) * 8) : nullptr;
    if (!rows || !held || ((save || after) && (!middle || !saved)) || (before && !line)) return false;
    void** out = const_cast<void**>(rows + count);

    bool filled = false;
    char* const constant = held + places * row_bytes;
    const auto keep = [&](int64_t y, char* to) {
      const char* from = source(outer, y) + x0 * line_type_size(job.in);
      if (before) {
        lines.stage(from, -job.along.before, job.nx + job.along.size - 1, line);
        kernels.along(along, line, to, n);
        round(to, n, saved);
      } else {
        lines.load(from, to, n);
      }
    };
    for (int64_t y = 0; kept && whole && y < job.ny; ++y) keep(y, held + y * row_bytes);
    const auto bring = [&](int64_t i) {
      const int64_t y = extended_index(job.across.mode, y0 - job.across.before - extra + i, job.ny);
      if (y < 0) {
        if (!filled) lines.fill(constant, n);
        filled = true, rows[i] = constant;
      } else if (!kept) {
        rows[i] = source(outer, y) + x0 * line_type_size(job.in);
      } else {
        char* to = held + (whole ? y : i % places) * row_bytes;
        if (!whole) keep(y, to);
        rows[i] = to;
      }
    };
    int64_t brought = 0;
    for (int64_t y = y0; y < y1; ++y) look(outer, y, x0, n);

    const auto place = [&](int64_t y) { return target(outer, y) + x0 * line_type_size(job.out); };
    for (int64_t y = y0; y < y1; y += group) {
      const int64_t outputs = std::min(group, y1 - y);
      while (brought < extra + y - y0 + outputs + job.across.size - 1) bring(brought++);
      for (int64_t m = 0; m < outputs; ++m)
        out[m] = middle ? middle + m * pitch + (after ? job.along.before * job.inner * element : 0) : place(y + m);
      kernels.across(op, rows + extra + y - y0, outputs, out, n);
      op.begun = true;  // of use to running means alone
      for (int64_t m = 0; middle && m < outputs; ++m) {
        char* result = static_cast<char*>(out[m]);
        if (after) {
          round(result, n, saved);
          lines.extend(middle + m * pitch, job.along.before, job.along.size - 1 - job.along.before);
          result = save ? saved : place(y + m);
          kernels.along(along, middle + m * pitch, result, n);
        }
        if (save) save(result, place(y + m), n);
      }
    }
    return true;
  }
};

// How the rows and lines of one job are shared out.
struct Parts {
  int64_t y, x, height, length;  // tasks along y and x, and the most that one of them does
};

Parts cut(const LineJob& job, const Run& run, int threads) {
  const bool mean = job.kind == line_mean;
  const int64_t wanted = 4 * threads, lines = job.outer * job.ny;
  Parts p{1, 1, job.ny, job.nx};
  if (job.across.size == 0) {
    const int64_t long_line = std::max<int64_t>(1, (int64_t{1} << 16) / (job.inner * run.element));
    if (!mean && job.nx > 2 * long_line) p.length = std::max(long_line, 2 * job.along.size);
    p.height =
        std::max<int64_t>(1, std::min(ceil_div(lines, wanted), ceil_div(int64_t{1} << 18, run.width * run.element)));
  } else {
    const bool both = job.along.size > 0;
    p.length = run.width;
    if (!both)
      p.length = std::min<int64_t>(run.width, mean ? std::max<int64_t>(64, ceil_div(run.width, wanted)) : 4096);
    if (!mean) {
      const int64_t room = cpu_info().l2 / 2 / (p.length * run.element) - job.across.size;
      p.height = std::max<int64_t>({room, job.across.size, 16});
      p.height = std::min(p.height, std::max<int64_t>(16, ceil_div(lines, wanted)));
    }
  }
  const int64_t across = job.across.size == 0 ? job.nx : run.width;
  p.height = std::min(p.height, job.ny);
  p.length = std::min(p.length, across);
  p.y = ceil_div(job.ny, p.height), p.x = ceil_div(across, p.length);
  return p;
}

// A running mean over rows: bands one after another, so that each sum has one history.
bool mean_rows(const Run& run, int64_t outer, int64_t x0, int64_t x1) {
  LineOp op = run.across;
  op.state = scratch_of<double>(state_slot, x1 - x0);
  if (!op.state) return false;
  const int64_t height = std::max<int64_t>(16, cpu_info().l2 / 2 / ((x1 - x0) * int64_t{sizeof(double)}));
  for (int64_t y = 0; y < run.job.ny; y += height) {
    if (!run.band(outer, y, std::min(run.job.ny, y + height), x0, x1, op)) return false;
    op.begun = true;
  }
  return true;
}

}  // namespace

ck_status run_lines(const LineJob& job, const char* isa) {
  const LineTable* table = line_table(isa);
  if (!table) return CK_UNSUPPORTED;
  if (job.outer * job.ny * job.nx * job.inner == 0) return CK_OK;
  const bool extreme = job.kind >= line_maximum, as_float = job.element == static_cast<int32_t>(LineType::f32);
  const bool floating = job.element >= static_cast<int32_t>(LineType::f32);
  Weights across, along;
  if (!extreme && (!across.set(job.across, as_float) || !along.set(job.along, as_float))) return CK_OUT_OF_MEMORY;
  std::atomic<bool> nan{false}, failed{false};
  const int kind = as_float ? 0 : 1;
  Run run{job,
          *table,
          {},
          {},
          extreme                 ? table->extreme[job.element]
          : job.kind == line_mean ? table->mean
                                  : table->correlate[kind],
          line_type_size(job.element),
          job.nx * job.inner,
          job.out == job.element ? nullptr : table->save[kind][job.out],
          job.out == job.element ? nullptr : table->load[kind][job.out],
          extreme && floating ? table->has_nan[kind] : nullptr,
          {*table, job.in, job.element, job.along.mode, job.nx, job.inner, job.cval},
          &nan};
  const auto prepare = [&](LineOp& op, const LineFilter& f, const Weights& weights, int64_t step) {
    op.size = f.size, op.step = step, op.weights = weights.data;
    op.minimum = job.kind == line_minimum;
    if (job.kind == line_sum && f.size > 0) op.symmetry = symmetry_of(f);
  };
  prepare(run.across, job.across, across, 1);
  prepare(run.along, job.along, along, job.inner);

  const double work = static_cast<double>(job.outer * job.ny) * static_cast<double>(run.width) *
                      static_cast<double>(extreme ? 8 : 4 + job.across.size + job.along.size);
  const int threads = work < 200000 ? 1 : num_threads();
  const Parts parts = cut(job, run, threads);
  parallel_for(job.outer * parts.y * parts.x, threads, [&](int64_t task, int) {
    if (nan.load(std::memory_order_relaxed)) return;
    const int64_t x = task % parts.x * parts.length, y = task / parts.x % parts.y * parts.height;
    const int64_t outer = task / parts.x / parts.y;
    const int64_t y1 = std::min(job.ny, y + parts.height);
    bool ok;
    if (job.across.size == 0)
      ok = run.along_only(outer, y, y1, x, std::min(job.nx, x + parts.length));
    else if (job.kind == line_mean)
      ok = mean_rows(run, outer, x, std::min(run.width, x + parts.length));
    else
      ok = run.band(outer, y, y1, x, std::min(run.width, x + parts.length), run.across);
    if (!ok) failed.store(true, std::memory_order_relaxed);
    for (int slot = rows_slot; slot <= state_slot; ++slot) scratch_release(slot);
  });
  return failed.load() ? CK_OUT_OF_MEMORY : nan.load() ? CK_INVALID : CK_OK;
}

}  // namespace convkern
