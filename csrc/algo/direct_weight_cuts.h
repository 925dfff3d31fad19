// How the weight gradient of `direct` turns and cuts a problem; computed from the problem alone, before any data is
// seen.
#pragma once

#include <math.h>

#include "core/chunk.h"
#include "core/gemm.h"
#include "runtime/cpu.h"

namespace convkern {
namespace weight {

// One tap, and all that it meets lies in the image: both operands are then the same, pixels with channels.
inline bool one_tap(const Problem& p) {
  for (const Axis& a : p.axis)
    if (a.out != 1 || a.pad > 0 || (a.taps - 1) * a.dilation - a.pad >= a.in) return false;
  return true;
}

// The image's pixels that the tap meets as the gradient's; lines that lie evenly behind each other become one.
inline Problem only_pixels(Problem p) {
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    p.image.offset -= p.image.axis[a] * p.axis[a].pad;
    p.image.axis[a] *= p.axis[a].dilation;
    p.axis[a] = {1, p.axis[a].taps, p.axis[a].taps, 1, 1, 0};
  }
  for (int a = 0; a + 1 < CK_MAX_SPATIAL; ++a) {
    const int64_t n = p.axis[a + 1].taps;
    if (p.axis[a].taps == 1) continue;
    if (n != 1 && (p.image.axis[a] != p.image.axis[a + 1] * n || p.kernel.axis[a] != p.kernel.axis[a + 1] * n))
      continue;
    if (n == 1) p.image.axis[a + 1] = p.image.axis[a], p.kernel.axis[a + 1] = p.kernel.axis[a];
    p.axis[a + 1].in = p.axis[a + 1].taps = n * p.axis[a].taps;
    p.axis[a].in = p.axis[a].taps = 1;
  }
  return p;
}

inline Problem interchange(const Problem& p) {
  Problem q = p;
  std::swap(q.batch, q.outputs);
  q.image.offset = p.kernel.offset, q.kernel.offset = p.image.offset;
  q.image.group = p.kernel.group, q.kernel.group = p.image.group;
  q.image.batch = p.kernel.output, q.kernel.output = p.image.batch;
  q.image.channel = p.kernel.channel, q.kernel.channel = p.image.channel;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) std::swap(q.image.axis[a], q.kernel.axis[a]);
  std::swap(q.result.batch, q.result.output);
  std::swap(q.residual.batch, q.residual.output);
  return q;
}

inline constexpr int64_t fewest_steps = 192;  // of a part
inline constexpr double copied_element = 0.25, turned_element = 0.5, listed_step = 3, stored_element = 0.5;  // cycles

// Steps of a chunk: its panel takes a quarter of L2.
template <class T>
int64_t panel_depth(int64_t width) {
  return std::max<int64_t>(32, std::max<int64_t>(cpu_info().l2 / 4, 32 << 10) / (width * int64_t{sizeof(T)}));
}

// How the product is turned and which tiles it takes.
struct Choice {
  bool interchanged;
  bool by_tap;  // a tile's rows are channels of one tap, which leaves out the pixels of zero padding
  int shape;
  double cycles;

  // Whether boxes that reach over the image's border are copied with their padding.
  bool stages(const Problem& p) const { return !by_tap || p.pad_mode != CK_PAD_ZEROS; }
};

// Share of all pairs of tap and pixel along an axis that lie in the image.
inline double share_inside(const Axis& a) {
  double inside = 0;
  const int64_t most = std::min<int64_t>(a.out, 64);  // of huge kernels some taps stand for all
  for (int64_t i = 0; i < most; ++i) {
    const int64_t at = (most > 1 ? i * (a.out - 1) / (most - 1) : 0) * a.stride - a.pad;
    const int64_t lo = at < 0 ? ceil_div(-at, a.dilation) : 0, hi = at < a.in ? ceil_div(a.in - at, a.dilation) : 0;
    inside += static_cast<double>(std::max<int64_t>(0, std::min(hi, a.taps) - lo)) / std::max<int64_t>(1, a.taps);
  }
  return inside / static_cast<double>(std::max<int64_t>(1, most));
}

template <class T>
Choice choose(const Kernels<T>& kernels, const Problem& plain, const Problem& turned, bool may_turn) {
  Choice best = {false, false, 0, HUGE_VAL};
  for (int turn = 0; turn <= may_turn; ++turn) {
    const Problem& p = turn ? turned : plain;
    const double depth = static_cast<double>(p.depth()), taps = static_cast<double>(p.pixels());
    double inside = 1;
    for (const Axis& a : p.axis) inside *= p.pad_mode == CK_PAD_ZEROS ? share_inside(a) : 1;
    const double pack =
        depth * static_cast<double>(p.outputs) * (p.kernel.output == 1 ? copied_element : turned_element);
    const double store = p.result.output == 1
                             ? 0
                             : taps * static_cast<double>(p.batch) * static_cast<double>(p.outputs) * stored_element;
    const int64_t apart = p.image.axis[2] * p.axis[2].dilation * int64_t{sizeof(T)};
    const double scattered = apart % 1024 == 0 ? 0.1 : apart >= 256 ? 0.05 : 0;
    for (int by_tap = 1; by_tap >= 0; --by_tap)
      for (int i = 0; i < kernels.shapes; ++i) {
        const Panels<T> panels(kernels, kernels.tile[i], p.outputs);
        const double count = static_cast<double>(p.batch) * (by_tap ? 1 : taps), times = by_tap ? taps : 1;
        const auto one = [&](const TileShape<T>& s) {
          const double tiles = ceil(count / s.rows), rows = count / tiles;
          const double steps = depth * (by_tap ? inside : 1),
                       begun = ceil(steps / double(panel_depth<T>(s.vectors * kernels.lanes)));
          return times * tiles *
                 (steps * (step_cycles(rows, s.vectors, s.vectors) + 0.3 + scattered * rows) +
                  begun * (60 + 2 * rows * s.vectors));
        };
        const double lists = by_tap && taps > 1 ? listed_step * taps * depth * inside : 0;
        const double cycles = static_cast<double>(p.groups) *
                              ((panels.panels - 1) * one(*panels.main) + one(*panels.last) + pack + store + lists);
        if (cycles >= best.cycles) continue;
        best = {turn != 0, by_tap != 0, i, cycles};
      }
  }
  return best;
}

// Cuts of one problem.
template <class T>
struct Cuts {
  Chunking chunks;
  Region blocks;  // channels and taps
  Panels<T> panels;
  int64_t splits;  // of the panels
  int64_t parts;   // of the chunks, with sums of their own
  bool in_place;   // the gradient is read where it lies
  int threads;

  Cuts(const Kernels<T>& kernels, const Problem& p, const Choice& choice, int max_threads)
      : chunks(p, 1),
        blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        panels(kernels, kernels.tile[choice.shape], p.outputs),
        splits(1),
        parts(1),
        in_place(p.kernel.output == 1 && p.outputs % (panels.main->vectors * panels.lanes) == 0),
        threads(1) {
    const int64_t l2 = cpu_info().l2, element = sizeof(T);
    const int64_t width = int64_t{panels.main->vectors} * panels.lanes;
    int64_t depth = panel_depth<T>(width);
    // Every tile of rows takes some channels of a chunk's pixels: they stay near for all where channels lie together.
    if (p.image.batch == 1 && p.depth() * p.batch * element > l2 / 2)
      depth = std::clamp<int64_t>(l2 / 8 / (p.batch * element), 32, depth);
    constexpr double worth_parting = 120000;  // cycles: of the problem alone, as sums of parts round otherwise
    const bool lines = p.result.output == 1;  // sums may lie in the result itself
    const int64_t all = p.batch * p.pixels() * panels.padded() * element * p.groups;
    // Taps of a block: each has its own list of steps.
    const int64_t most_taps =
        choice.by_tap ? std::max<int64_t>(1, l2 / 4 / (std::min(depth, p.depth()) * int64_t{sizeof(Tap)})) : INT64_MAX;
    if (choice.cycles > worth_parting && p.pixels() <= most_taps)
      while (parts < 4 && 2 * parts * all <= l2 / 4 && p.depth() >= 2 * parts * fewest_steps) parts *= 2;
    depth = ceil_div(p.depth(), parts * ceil_div(p.depth(), parts * depth));
    // A block's sums take a quarter of L2 at most, all taps of a channel if they can, whole lines of the result where
    // they lie in it.
    const int64_t most_sums = p.depth() > depth ? l2 / 4 : l2 / 2;
    const bool whole = lines && panels.padded() * 56 * element <= most_sums;
    const int64_t most = std::max<int64_t>(1, most_sums / ((whole ? panels.padded() : width) * element));
    for (int d : {0, 1, 2, 3}) blocks.cut(d, blocks.extent[d]);
    // A tile's rows are channels of one tap, or channels with their taps.
    const int64_t taps = choice.by_tap ? std::clamp<int64_t>(most / panels.main->rows, 1, most_taps) : most;
    int64_t rows = 1;
    for (int d : {3, 2, 1}) {
      blocks.set(d, even_piece(blocks.extent[d], std::max<int64_t>(1, taps / rows)));
      rows *= blocks.piece(d);
      if (blocks.parts[d] > 1) break;
    }
    if (choice.by_tap || rows == p.pixels())
      blocks.set(0, even_piece(blocks.extent[0], std::max<int64_t>(1, most / rows)));
    const auto staged = [&] {
      const Box box = touched(p, blocks.largest(), chunks[0]);
      return box.batch * box.channels * box.count[0] * box.count[1] * box.count[2] * element;
    };
    for (;; depth /= 2) {
      chunks = Chunking(p, depth);
      if (chunks.depth() <= 16 || !choice.stages(p) || staged() <= l2 * 3 / 8) break;
    }
    // Chunks are whole lines: a line more in each may share them out evenly among the parts.
    const Chunking longer(p, depth + p.axis[2].taps);
    if (parts > 1 && chunks.count() % parts != 0 && longer.count() % parts == 0) chunks = longer;
    parts = std::min(parts, chunks.count());
    const auto sums = [&] { return ceil_div(panels.panels, splits) * width * blocks.rows() * element; };
    while (!(lines && chunks.count() == 1) && sums() > l2 / 4 && splits < panels.panels) ++splits;

    // Few rows are done before packing pays.
    in_place = in_place && p.batch * p.pixels() <= 12 * panels.main->rows;
    if (choice.cycles > serial_cycles(panels.lanes * sizeof(T))) threads = max_threads;
    if (threads == 1) return;
    // What the cuts make be read, and packed or staged, once more: the image by another split, the gradient by another
    // block.
    const auto total = [&] { return p.groups * parts * blocks.count() * splits; };
    const double image = 0.1 * static_cast<double>(p.batch) *
                         static_cast<double>(p.channels * p.axis[0].in * p.axis[1].in * p.axis[2].in);
    const double grad = copied_element * static_cast<double>(p.depth()) * static_cast<double>(p.outputs);
    while (total() < threads || (total() < 8 * threads && total() % threads != 0)) {
      // Channels where they leave a tile or more, else the longest axis; sums of parts are laid out by channels.
      int along = 0;
      if (parts == 1 && (!choice.by_tap || blocks.piece(0) < 2 * panels.main->rows))
        for (int d = along = choice.by_tap ? 1 : 0; d < 4; ++d)
          if (blocks.piece(d) > blocks.piece(along)) along = d;
      const bool can_rows = blocks.piece(along) > 1 && (choice.by_tap || blocks.rows() >= 2 * panels.main->rows);
      const bool can_panels = splits < panels.panels;
      if (!can_rows && !can_panels) break;
      const bool uneven = panels.panels < 4 * threads && panels.panels % threads != 0;
      if (can_rows && (!can_panels || lines || uneven || grad < image))
        blocks.cut(along, blocks.parts[along] + 1);
      else
        ++splits;
    }
  }
  int64_t tasks(const Problem& p) const { return p.groups * parts * blocks.count() * splits; }
  int64_t all_sums(const Problem& p) const { return parts > 1 ? p.groups * parts * part_sums(p) : 0; }
  int64_t part_sums(const Problem& p) const { return p.batch * p.pixels() * panels.padded(); }
  int64_t block_sums() const { return blocks.rows() * ceil_div(panels.panels, splits) * panels.width(0); }
};

}  // namespace weight
}  // namespace convkern
