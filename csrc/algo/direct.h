// How `direct` cuts and turns one problem; computed from the problem alone, before any data is seen.
#pragma once

#include <memory>
#include <vector>

#include "core/chunk.h"
#include "core/gemm.h"
#include "core/plan.h"

namespace convkern {

// Which operand lies on the vector side.
//   outputs_on_lanes: rows are pixels, lanes are output channels (weights packed in panels). The common case.
//   pixels_on_lanes:  rows are output channels, lanes are pixels of one image line. Few channels, one plane, NCHW 1x1.
struct Orientation {
  bool pixels_on_lanes;
  bool channels_inner;  // order of k: (taps, c) rather than (c, taps)
  int shape;            // index of the tile shape
  double cycles;        // estimate for the whole problem on one core
};

// Of single pixels, used by many outputs: pixels on lanes are brought together panel by panel, so that tiles read them
// one after the other and not from a page of their own for each channel.
inline bool gathers_pixels(const Problem& p) {
  return p.taps() == 1 && p.channels >= 16 && p.outputs >= 32 && p.axis[0].inside() && p.axis[1].inside() &&
         p.axis[2].inside();
}

// Whether the pixels of a sample in a block, line after line, are evenly spaced in a result.
inline bool lines_join(const Problem::Result& view, Block block) {
  block.extent[0] = 1;
  ptrdiff_t step;
  return even_stride(view, block, &step) && (step == view.axis[2] || block.rows() == 1);
}

template <class T>
Orientation choose_orientation(const Kernels<T>& kernels, const Problem& p, bool allow_pixels);

inline constexpr int64_t l1_ways = 8;  // at least

template <class T>
struct Blocking {
  Chunking chunks;
  Regions blocks;
  Panels<T> panels;  // outputs_on_lanes: of the outputs of a group
  // Read in place, pixels would all lie in one set of L1, so that a tile of more of them than it has ways fetched each
  // from L2 for every step: blocks of that many are staged.
  bool collides;
  int64_t splits;  // parts that the panels of a block, or with pixels on lanes its outputs, are shared out in
  int threads;
  // Where channels lie together and those of all groups fill few cache lines, threads that did a group each would write
  // the same lines: they share out pixels, and all groups of a block follow one another.
  bool groups_inner;
  int64_t rows_together;  // rows of a block that meet all panels before the next do

  // direct_store: the sums can stay in the result between chunks. packed: the kernel is packed already, in the
  // orientation's order; where it is large and is not, fewer blocks save packing it over and over, and the order is the
  // one that packs fast.
  Blocking(const Kernels<T>& kernels, const Problem& p, const Orientation& orientation, bool direct_store, bool packed,
           int threads);
  int64_t tasks(const Problem& p) const { return p.groups * blocks.count() * splits; }
};

// `direct` for some phases of an input gradient only, which writes nothing but their pixels.
template <class T>
std::unique_ptr<Algorithm> make_direct_phases(const ck_spec& spec, const Kernels<T>& kernels,
                                              const std::vector<int64_t>& phases);

// Bytes of scratch one thread takes.
template <class T>
int64_t scratch_bytes(const Problem& p, const Orientation& orientation, const Blocking<T>& blocking);

}  // namespace convkern
