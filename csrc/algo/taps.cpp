// Cuts the problem of taps.h into bands of rows. For a band, every row that a tap of it sees is staged once, converted
// and extended, so that a tap is one constant offset within the block.
#include "algo/taps.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <vector>

#include "algo/line_stage.h"
#include "core/chunk.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { block_slot, saved_slot, offsets_slot };

// The window seen as planes: the distinct offsets along the leading dimensions, and the reach along the last two.
struct Window {
  std::vector<std::vector<int64_t>> planes;
  std::vector<int64_t> plane_of;
  int64_t low[2] = {0, 0}, high[2] = {0, 0};

  explicit Window(const TapFilter& job) {
    const int lead = job.dims - 2;
    std::map<std::vector<int64_t>, int64_t> known;
    for (int64_t t = 0; t < job.taps; ++t) {
      const int64_t* o = job.offset + t * job.dims;
      const std::vector<int64_t> plane(o, o + lead);
      const auto found = known.emplace(plane, static_cast<int64_t>(planes.size()));
      if (found.second) planes.push_back(plane);
      plane_of.push_back(found.first->second);
      for (int d = 0; d < 2; ++d) {
        low[d] = std::min(low[d], o[lead + d]);
        high[d] = std::max(high[d], o[lead + d]);
      }
    }
  }
};

struct Run {
  const TapFilter& job;
  const LineKernels& kernels;
  const LineStage& lines;
  const Window& window;
  const void* weights;
  void (*save)(const void*, void*, int64_t);
  int64_t height;  // rows of a band

  // Rows [y0, y1) of plane number `plane` of the output.
  bool band(int64_t plane, int64_t y0, int64_t y1) const {
    const int lead = job.dims - 2;
    const int64_t ny = job.shape[lead], nx = job.shape[lead + 1];
    const int64_t rows = y1 - y0 + window.high[0] - window.low[0], columns = nx + window.high[1] - window.low[1];
    const int64_t pitch = columns * lines.element;
    char* block = scratch_of<char>(block_slot, static_cast<int64_t>(window.planes.size()) * rows * pitch);
    char* saved = save ? scratch_of<char>(saved_slot, nx * lines.element) : nullptr;
    ptrdiff_t* offset = scratch_of<ptrdiff_t>(offsets_slot, job.taps);
    if (!block || !offset || (save && !saved)) return false;

    for (size_t p = 0; p < window.planes.size(); ++p) {
      int64_t source = 0, step = 1, rest = plane;  // the plane this one of the window lies on, -1: in the constant
      for (int d = lead - 1; d >= 0; --d) {
        const int64_t i = extended_index(job.mode, rest % job.shape[d] + window.planes[p][d], job.shape[d]);
        source = i < 0 || source < 0 ? -1 : source + i * step;
        rest /= job.shape[d], step *= job.shape[d];
      }
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t y = extended_index(job.mode, y0 + window.low[0] + r, ny);
        char* to = block + (static_cast<int64_t>(p) * rows + r) * pitch;
        if (source < 0 || y < 0)
          lines.fill(to, columns);
        else
          lines.stage(job.from + (source * ny + y) * nx * lines.in, window.low[1], columns, to);
      }
    }
    for (int64_t t = 0; t < job.taps; ++t) {
      const int64_t* o = job.offset + t * job.dims + lead;
      offset[t] = (window.plane_of[t] * rows + o[0] - window.low[0]) * columns + o[1] - window.low[1];
    }
    const TapOp op{job.taps, offset, weights, job.kind == line_minimum};
    for (int64_t y = y0; y < y1; ++y) {
      char* to = job.to + (plane * ny + y) * nx * line_type_size(job.out);
      kernels.taps(op, block + (y - y0) * pitch, save ? saved : to, nx);
      if (save) save(saved, to, nx);
    }
    return true;
  }
};

// The weights in the element type, cut to it as C would.
bool convert_weights(const TapFilter& job, const LineTable& table, Buffer& copy) {
  if (!job.weights) return true;
  if (!copy.allocate(job.taps * 8)) return false;
  table.save[1][job.element](job.weights, copy.data, job.taps);
  return true;
}

ck_status run(const TapFilter& job, const LineTable& table) {
  const int lead = job.dims - 2;
  int64_t planes = 1;
  for (int d = 0; d < lead; ++d) planes *= job.shape[d];
  const int64_t ny = job.shape[lead], nx = job.shape[lead + 1];
  if (planes * ny * nx == 0) return CK_OK;
  const int kind = job.element == static_cast<int32_t>(LineType::f32) ? 0 : 1;
  Buffer weights;
  if (!convert_weights(job, table, weights)) return CK_OUT_OF_MEMORY;
  const Window window(job);
  const LineStage lines(table, job.in, job.element, job.mode, nx, 1, job.cval);

  const int64_t reach = window.high[0] - window.low[0];
  const int64_t row_bytes =
      static_cast<int64_t>(window.planes.size()) * (nx + window.high[1] - window.low[1]) * lines.element;
  const double work = static_cast<double>(planes * ny * nx) * static_cast<double>(job.taps + 4);
  const int threads = work < 200000 ? 1 : num_threads();
  int64_t height = std::max<int64_t>({cpu_info().l2 / 2 / std::max<int64_t>(1, row_bytes) - reach, reach / 2, 1});
  height = std::min({height, ny, std::max<int64_t>({ceil_div(planes * ny, 4 * threads), reach / 2, 1})});
  const Run task{job,          job.kind == line_sum ? table.correlate[kind] : table.extreme[job.element],
                 lines,        window,
                 weights.data, job.out == job.element ? nullptr : table.save[kind][job.out],
                 height};
  std::atomic<bool> failed{false};
  const int64_t bands = ceil_div(ny, height);
  parallel_for(planes * bands, threads, [&](int64_t i, int) {
    const int64_t y = i % bands * height;
    if (!task.band(i / bands, y, std::min(ny, y + height))) failed.store(true, std::memory_order_relaxed);
    for (int slot = block_slot; slot <= offsets_slot; ++slot) scratch_release(slot);
  });
  return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
}

}  // namespace

ck_status run_taps(const TapFilter& job, const char* isa) {
  const LineTable* table = line_table(isa);
  if (!table) return CK_UNSUPPORTED;
  try {
    return run(job, *table);
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
}

}  // namespace convkern
