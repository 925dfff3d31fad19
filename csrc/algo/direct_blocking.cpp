// Sizes for `direct`: orientation and tile by counted cycles, chunks and blocks by what fits the caches.
#include "algo/direct.h"

#include <math.h>

#include "runtime/cpu.h"

namespace convkern {
namespace {

// Loads a cycle and multiply-add chains in flight that the tiles were measured against (bench: --class kernel).
constexpr double loads_per_cycle = 3.0, least_cycles_per_step = 4.0;

// Cycles that one step k of a tile takes: multiply-adds at two a cycle, loads, or the latency of few chains.
double step_cycles(double rows, int vectors, double vector_loads) {
  return std::max({rows * vectors / 2, (2 * rows + vector_loads + 1) / loads_per_cycle, least_cycles_per_step});
}

// Cycles of `count` rows against one panel, `depth` steps: tiles of even height, each with a fixed cost.
template <class T>
double panel_cycles(const TileShape<T>& shape, double count, double depth, double vector_loads) {
  const double tiles = std::max(1.0, std::ceil(count / shape.rows)), rows = count / tiles;
  return tiles * (depth * step_cycles(rows, shape.vectors, vector_loads) + 20 + rows * shape.vectors);
}

template <class T>
double panels_cycles(const Kernels<T>& kernels, const TileShape<T>& shape, int64_t positions, double rows,
                     double depth, bool unaligned) {
  const Panels<T> panels(kernels, shape, positions);
  const auto one = [&](const TileShape<T>& s) {
    return panel_cycles(s, rows, depth, s.vectors * (unaligned ? 1.5 : 1.0));
  };
  return panels.panels ? (panels.panels - 1) * one(*panels.main) + one(*panels.last) : 0;
}

// Scalar stores and gathers, transposes: cycles an element.
constexpr double scattered_element = 1.5, transposed_element = 0.3;

}  // namespace

template <class T>
Orientation choose_orientation(const Kernels<T>& kernels, const Problem& p, bool allow_pixels) {
  const double depth = static_cast<double>(p.depth()), images = static_cast<double>(p.groups * p.batch);
  const double pixels = static_cast<double>(p.pixels()), results = images * pixels * p.outputs;
  const double rows = std::min(pixels, 512.0);
  Orientation best = {false, 0, 0};
  for (int i = 0; i < kernels.shapes; ++i) {
    const double store = p.result.output == 1 ? 0 : results * transposed_element;
    const double cycles =
        images * pixels / rows * panels_cycles(kernels, kernels.tile[i], p.outputs, rows, depth, false) + store;
    if (i == 0 || cycles <= best.cycles) best = {false, i, cycles};
  }
  if (!allow_pixels) return best;
  for (int i = 0; i < kernels.shapes; ++i) {
    const int64_t x = p.axis[2].out;
    const double lines = images * pixels / std::max<int64_t>(1, x);
    const double gather = p.image.axis[2] == 1 ? 0 : images * p.channels * pixels * scattered_element;
    const double store = p.result.axis[2] == 1 ? 0 : results * transposed_element;
    const double cycles = lines * panels_cycles(kernels, kernels.tile[i], x, static_cast<double>(p.outputs), depth, true) +
                          gather + store;
    if (cycles < 0.95 * best.cycles) best = {true, i, cycles};
  }
  return best;
}

template <class T>
Blocking<T>::Blocking(const Kernels<T>& kernels, const Problem& p, const Orientation& orientation, bool direct_store,
                      int max_threads)
    : chunks(p, 1), blocks(p), panels(kernels, kernels.tile[orientation.shape], p.outputs), splits(1), threads(1) {
  const int64_t l2 = cpu_info().l2, element = sizeof(T);
  const bool on_pixels = orientation.pixels_on_lanes;
  const int64_t width = int64_t{kernels.tile[orientation.shape].vectors} * kernels.lanes;

  // A chunk's kernel panel takes a quarter of L2; a block's image part three eighths; its sums a quarter.
  int64_t depth = std::max<int64_t>(64, l2 / 4 / (width * element));
  chunks = Chunking(p, depth);
  const auto fits = [&] {
    Block block = {{0, 0, 0, 0}, {blocks.piece[0], blocks.piece[1], blocks.piece[2], blocks.piece[3]}};
    const Box box = touched(p, block, chunks[0]);
    const int64_t image = box.batch * box.channels * box.count[0] * box.count[1] * box.count[2] * element;
    return image <= l2 * 3 / 8;
  };
  const int64_t most_rows = direct_store || on_pixels ? 1024 : 512;
  const auto shrink = [&](int d) {
    while (blocks.piece[d] > 8 && !fits()) blocks.set(d, even_piece(blocks.full[d], blocks.piece[d] / 2));
  };
  for (;; chunks = Chunking(p, depth /= 2)) {
    blocks.set(3, even_piece(blocks.full[3], most_rows));
    shrink(3);
    if (fits() || chunks.depth() <= 64) break;
  }
  for (int d = 2; d >= 0 && blocks.piece[d + 1] == blocks.full[d + 1]; --d) {
    const int64_t rows = blocks.rows();
    blocks.set(d, even_piece(blocks.full[d], std::max<int64_t>(1, most_rows / std::max<int64_t>(1, rows))));
    while (blocks.piece[d] > 1 && !fits()) blocks.set(d, even_piece(blocks.full[d], blocks.piece[d] - 1));
  }

  // Below ~8 us of work a second thread costs more than it brings.
  constexpr double serial_cycles = 30000;
  if (orientation.cycles > serial_cycles) threads = max_threads;
  const int64_t panel_count = on_pixels ? 1 : panels.panels;
  if (threads > 1) {
    const int64_t wanted = threads * (orientation.cycles > threads * 8 * serial_cycles ? 4 : 1);
    // Each part of the panels stages the block anew, so no more parts than threads where there is staging to do.
    const int64_t parts = p.taps() == 1 && p.result.output == 1 ? wanted : threads;
    const int64_t weights = p.depth() * p.outputs * element;
    const auto total = [&] { return p.groups * blocks.count() * splits; };
    if (total() < parts && weights > l2 * 2 / 5) splits = std::min(panel_count, ceil_div(parts, total()));
    // Smaller blocks, as long as each keeps a few tiles of rows.
    const int64_t fewest = on_pixels ? width : 28;
    for (int d : {2, 1, 3, 0})
      for (int64_t n = 2 * blocks.pieces(d); n <= blocks.full[d]; n *= 2) {
        if (total() >= (splits > 1 ? parts : wanted) || blocks.rows() / 2 < fewest) break;
        blocks.set(d, ceil_div(blocks.full[d], n));
      }
    if (total() < threads) splits = std::min(panel_count, ceil_div(threads, p.groups * blocks.count()));
    // An even share for every thread, where a few more blocks give one.
    for (int64_t n = blocks.pieces(2); n <= blocks.full[2] && n < blocks.pieces(2) + threads; ++n) {
      const int64_t others = total() / blocks.pieces(2);
      if (others * n % threads != 0 && total() < 16 * threads) continue;
      blocks.set(2, ceil_div(blocks.full[2], n));
      break;
    }
  }
  if (chunks.count() > 1 && !direct_store && !on_pixels) {
    const int64_t most = std::max<int64_t>(1, l2 / 4 / (blocks.rows() * width * element));
    splits = std::max(splits, ceil_div(panel_count, most));
  }
}

template <class T>
int64_t scratch_bytes(const Problem& p, const Orientation& orientation, const Blocking<T>& b) {
  Block block = {{0, 0, 0, 0}, {b.blocks.piece[0], b.blocks.piece[1], b.blocks.piece[2], b.blocks.piece[3]}};
  const Box box = touched(p, block, b.chunks[0]);
  const int64_t width = b.panels.main->vectors * b.panels.lanes;
  const int64_t stage = box.batch * box.channels * box.count[0] * box.count[1] * box.count[2] + width;
  const int64_t rows = orientation.pixels_on_lanes ? p.outputs : block.rows();
  const int64_t panels = b.chunks.count() == 1 ? 1
                         : orientation.pixels_on_lanes
                             ? block.lines() * ceil_div(block.extent[3], width)
                             : ceil_div(b.panels.panels, b.splits);
  return (stage + panels * rows * width) * int64_t{sizeof(T)} + rows * int64_t{sizeof(void*)} +
         b.chunks.depth() * int64_t{sizeof(Tap)};
}

#define CK_INSTANTIATE(T)                                                                   \
  template Orientation choose_orientation(const Kernels<T>&, const Problem&, bool);         \
  template struct Blocking<T>;                                                              \
  template int64_t scratch_bytes(const Problem&, const Orientation&, const Blocking<T>&);
CK_INSTANTIATE(float)
CK_INSTANTIATE(double)
#undef CK_INSTANTIATE

}  // namespace convkern
