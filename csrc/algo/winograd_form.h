// How a lowered problem falls into Winograd tiles, and how the tiles are cut into blocks. Along y and x, with stride s,
// dilation d (one of them 1) and K taps,
//   stride:    y[q] = sum_j sum_u x_j[q + u] g[s*u + j],  x_j[n] = x[s*n + j - pad]     s summed phases, r = ceil(K /
//   s) dilation:  y[d*Q + e] = sum_u x_e[Q + u] g[u],        x_e[n] = x[d*n + e - pad]     d spread phases, r = K
// so F(m, r) serves both: summed phases are further channels, spread phases further tiles. A phase of fewer than r taps
// has nothing at the point infinity. Taps along z, too, are further channels. Pure arithmetic: knows no memory.
#pragma once

#include <algorithm>

#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/cpu.h"

namespace convkern {

// One axis of the tiles.
struct TileAxis {
  int64_t m, r, t;         // outputs and taps of a tile, transform points
  int64_t summed, spread;  // phases of the stride and of the dilation
  int64_t step;            // between a patch's points in the image
  int64_t tiles;           // of each spread phase

  // Tile i belongs to spread phase i % spread; its outputs are first(i), first(i) + spread, ... Tiles of all phases
  // that lie in one another make a group of spread * m outputs without gaps.
  int64_t first(int64_t i) const { return i / spread * group() + i % spread; }
  int64_t group() const { return spread * m; }
  // The most that first(i + n) - first(i) can be.
  int64_t most_apart(int64_t n) const { return first(n) + (n % spread > 0 ? group() - spread : 0); }
  int64_t count() const { return spread * tiles; }
  int64_t taps_of_phase(int64_t j, int64_t taps) const { return ceil_div(taps - j, summed); }
};

struct Form {
  TileAxis y, x;
  int64_t slices;  // taps along z
  bool exchanged;  // y and x have changed places
  int64_t points() const { return y.t * x.t; }
  int64_t phases() const { return y.summed * x.summed; }
};

// The problem with its taps along x if it has any along one axis only.
inline bool lies_along_y(const Problem& p) { return p.axis[1].taps > 1 && p.axis[2].taps == 1; }

inline Problem exchange_axes(Problem p) {
  std::swap(p.axis[1], p.axis[2]);
  std::swap(p.image.axis[1], p.image.axis[2]);
  std::swap(p.kernel.axis[1], p.kernel.axis[2]);
  std::swap(p.result.axis[1], p.result.axis[2]);
  std::swap(p.residual.axis[1], p.residual.axis[2]);
  return p;
}

// F(m, r) for an axis; r is 0 where there is none.
inline TileAxis tile_axis(const Axis& a, int64_t m) {
  TileAxis t = {m, 0, 0, 1, 1, 1, 1};
  if (a.taps == 1) t.m = 1;  // a line: the axis is only walked along
  if (a.taps > 1 && a.stride > 1 && a.dilation > 1) return t;
  if (a.taps > 1) t.summed = std::min(a.stride, a.taps), t.spread = std::min(a.dilation, std::max<int64_t>(1, a.out));
  t.r = ceil_div(a.taps, t.summed);
  if (m == 4 && t.r == 4) t.m = 3;  // six points here, too
  if (a.stride > a.taps && a.taps > 1) t.r = 0;
  t.t = t.m + t.r - 1;
  t.step = a.taps > 1 ? a.stride * a.dilation : 1;
  t.tiles = std::max<int64_t>(1, ceil_div(ceil_div(a.out, t.spread), t.m));
  return t;
}

constexpr int64_t most_span = 1024;  // pixels that a patch may span along an axis: it may have to be staged

// The transforms that serve a problem (its axes exchanged already) with m outputs a tile and axis, or null.
template <class T>
const WinogradKernels<T>* find_form(const Kernels<T>& kernels, const Problem& p, int64_t m, Form* form) {
  form->y = tile_axis(p.axis[1], m);
  form->x = tile_axis(p.axis[2], m);
  form->slices = p.axis[0].taps;
  if (p.axis[0].taps > 1 && (p.axis[0].stride != 1 || p.axis[0].dilation != 1)) return nullptr;
  for (const TileAxis* a : {&form->y, &form->x})
    if (a->t > 1 && a->step > (most_span - 1) / (a->t - 1)) return nullptr;
  for (const WinogradKernels<T>& w : kernels.winograd)
    if (w.m[0] == form->y.m && w.m[1] == form->x.m && w.r[0] == form->y.r && w.r[1] == form->x.r) return &w;
  return nullptr;
}

template <class T>
struct WinogradLayout {
  Form form;
  int64_t points, depth;  // depth: slices x summed phases x channels
  Panels<T> panels;
  Region tiles;           // samples, z outputs, rows and columns of tiles
  int64_t splits;         // parts that the panels of a block are shared out in
  int64_t channel_pitch;  // of a tile in V
  int threads;

  WinogradLayout(const Kernels<T>& kernels, const Form& f, const Problem& p, int max_threads)
      : form(f),
        points(f.points()),
        depth(f.slices * f.phases() * p.channels),
        panels(kernels, kernels.tile[kernels.shapes - 1], p.outputs),
        tiles(all_outputs(p, f.y.count(), f.x.count())),
        splits(1),
        channel_pitch(spread_pitch(round_up(p.channels, kernels.lanes), sizeof(T))),
        threads(max_threads) {
    // The narrowest main tile that wastes no more lanes than the widest.
    for (int i = kernels.shapes - 1; i >= 0; --i) {
      const Panels<T> other(kernels, kernels.tile[i], p.outputs);
      if (other.padded() < panels.padded()) panels = other;
    }
    const int64_t l2 = cpu_info().l2, width = panels.width(0), element = sizeof(T);
    const int64_t planes = f.slices > 1 ? 2 : 1;  // of V for each of M, about
    const int64_t tile_bytes = points * (planes * f.phases() * channel_pitch + width) * element;
    const int64_t kernel_bytes = points * depth * panels.padded() * element;
    // A transformed kernel that streams from L3 needs enough tiles to work on meanwhile.
    const int64_t fewest = kernel_bytes > l2 / 2 ? 56 : 14;
    const int64_t most = std::clamp<int64_t>(l2 / 2 / tile_bytes, fewest, 112);
    // Grown along x, then along z where its planes share transforms, y, z and the batch.
    const int order[] = {3, f.slices > 1 ? 1 : 2, f.slices > 1 ? 2 : 1, 0};
    for (const int d : order) {
      tiles.set(d, even_piece(tiles.extent[d], std::max<int64_t>(1, most / tiles.rows())));
      if (tiles.parts[d] > 1) break;
    }
    if (threads == 1) return;
    const int64_t blocks = p.groups * tiles.count();
    if (blocks < 2 * threads && kernel_bytes > l2) {
      splits = std::min(panels.panels, ceil_div(threads, blocks));
      if (splits * blocks % threads == 0) return;
      splits = 1;
    }
    // An even share for every thread, of the rows of tiles or, where there is one, of its columns.
    const int d = tiles.extent[2] > 1 ? 2 : 3;
    for (int64_t n = tiles.parts[d]; n <= tiles.extent[d] && n < tiles.parts[d] + threads; ++n) {
      if (p.groups * (tiles.count() / tiles.parts[d]) * n % threads != 0) continue;
      tiles.cut(d, n);
      break;
    }
  }

  int64_t planes() const { return tiles.piece(1) + form.slices - 1; }
  int64_t plane_tiles() const { return tiles.piece(2) * tiles.piece(3); }
  // Distances between transform points: never a multiple of a large power of two.
  int64_t input_point() const { return form.phases() * tiles.piece(0) * planes() * plane_tiles() * channel_pitch + 16; }
  int64_t sums_point() const { return tiles.rows() * panels.width(0) + 16; }
  // Pixels of a line that tiles whose first outputs lie up to `apart` apart read, with all their summed phases.
  int64_t line_width(int64_t stride, int64_t apart) const {
    return apart * stride + form.x.summed - 1 + (form.x.t - 1) * form.x.step + 1;
  }
  int64_t patch_elements(const Problem& p) const {
    return form.y.t * line_width(p.axis[2].stride, form.x.most_apart(tiles.piece(3) - 1)) * channel_pitch;
  }
  int64_t output_elements() const { return tiles.rows() * form.y.m * form.x.m * panels.width(0); }
  // U[point][k][o] of panel j of a group: points lie kernel_point(j) apart, the panel starts at kernel_start(j).
  int64_t kernel_point(int64_t j) const { return depth * panels.width(j) + 16; }
  int64_t kernel_start(int64_t j) const { return points * (depth * panels.start(j) + 16 * j); }
  int64_t kernel_elements() const { return points * (depth * panels.padded() + 16 * panels.panels); }
  // Rows of every point, and four lists of taps: a run of channels each.
  int64_t most_listed() const { return form.slices * form.phases(); }
  int64_t table_bytes(int64_t rows) const {
    return points * rows * int64_t{sizeof(char*)} + 4 * most_listed() * int64_t{sizeof(Tap)};
  }
  int64_t bytes(const Problem& p) const {
    return (patch_elements(p) + points * (input_point() + sums_point()) + output_elements()) * int64_t{sizeof(T)} +
           table_bytes(tiles.rows());
  }
};

}  // namespace convkern
