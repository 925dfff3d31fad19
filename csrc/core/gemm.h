// THE loop nest:   C[i,j] (+)= sum_k A[i,k] B[k,j]   for the rows i of one block and the panels j of one operand.
//
//   A  row i starts at rows[i], step k lies tap(k).a bytes on       (any addresses: an image, packed weights)
//   B  panel j starts at panel, step k lies tap(k).b bytes on, a panel is `vectors` vectors wide
//   C  row i lies ldc bytes after row i-1, panel-wide
//
// The rows are cut into tiles of nearly equal height, so that none is a stub. Knows no convolution.
#pragma once

#include "kernels/table.h"
#include "runtime/cpu.h"

namespace convkern {

// The narrowest tile shape of at least `vectors` vectors; the widest one if there is none.
template <class T>
const TileShape<T>& shape_for(const Kernels<T>& kernels, int64_t vectors) {
  for (int i = 0; i + 1 < kernels.shapes; ++i)
    if (kernels.tile[i].vectors >= vectors) return kernels.tile[i];
  return kernels.tile[kernels.shapes - 1];
}

// How `count` vector-side positions are cut into panels: all of the main width but the last, which is as narrow as the
// tile shapes allow.
template <class T>
struct Panels {
  const TileShape<T>*main, *last;
  int64_t count, panels;
  int lanes;

  Panels(const Kernels<T>& kernels, const TileShape<T>& shape, int64_t positions) : main(&shape), lanes(kernels.lanes) {
    const int64_t width = int64_t{shape.vectors} * lanes;
    count = positions;
    panels = (positions + width - 1) / width;
    const int64_t rest = positions - (panels - 1) * width;
    last = panels > 0 ? &shape_for(kernels, (rest + lanes - 1) / lanes) : main;
  }
  const TileShape<T>& shape(int64_t j) const { return j + 1 == panels ? *last : *main; }
  int64_t start(int64_t j) const { return j * main->vectors * lanes; }          // first position of panel j
  int64_t width(int64_t j) const { return int64_t{shape(j).vectors} * lanes; }  // its lanes, padding included
  int64_t used(int64_t j) const { return j + 1 == panels ? count - start(j) : width(j); }
  int64_t padded() const { return panels ? start(panels - 1) + width(panels - 1) : 0; }
};

// Cycles that one step k of a tile takes: multiply-adds at two a cycle, loads, or the latency of few chains.
inline double step_cycles(double rows, int vectors, double vector_loads, double loads_per_cycle = 2.5) {
  constexpr double latency = 4.0;
  const double arithmetic = rows * vectors / 2, loads = (2 * rows + vector_loads + 1) / loads_per_cycle;
  const double most = arithmetic > loads ? arithmetic : loads;
  return most > latency ? most : latency;
}

// Cycles, counted so, of work that one thread does alone: about 8 us, below which a second one costs more than it
// brings.
inline double serial_cycles(size_t vector_bytes) { return cpu_info().halves && vector_bytes == 64 ? 15000 : 30000; }

// bias: per lane of this panel or per row, as job.start says.
template <class T>
void multiply_panel(const TileShape<T>& shape, const TileJob<T>& job, const char* const* rows, int64_t count,
                    const char* panel, T* c, const T* bias) {
  const int64_t tiles = (count + shape.rows - 1) / shape.rows;
  for (int64_t t = 0, begin = 0; t < tiles; ++t) {
    const int64_t end = (t + 1) * count / tiles;
    shape.run[end - begin](job, rows + begin, panel, reinterpret_cast<char*>(c) + begin * job.ldc,
                           job.start == Start::row_bias ? bias + begin : bias);
    begin = end;
  }
}

}  // namespace convkern
