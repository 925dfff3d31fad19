// Cutting a problem: the sum over k into chunks that are ranges of its order, and the outputs (b, z, y, x) into blocks.
//   order of k:  (c, tz, ty, tx), or (tz, ty, tx, c) where the image's channels lie contiguous
// Chunks follow one another, so every output stays one chain of multiply-adds in the order of k. Blocks are cut from
// regions: the outputs whose window meets the zero padding on one side, and the rest, so that a border's blocks can
// skip the taps that only see zeros and the rest is read in place. Pure arithmetic: knows no memory and no ISA.
#pragma once

#include <algorithm>
#include <utility>

#include "core/problem.h"
#include "core/stage.h"

namespace convkern {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The size of the pieces when n is cut into nearly equal ones of at most `most`.
inline int64_t even_piece(int64_t n, int64_t most) { return n <= most ? n : ceil_div(n, ceil_div(n, most)); }

// Dimensions of k: [0] channels, then z, y, x taps. At most one is partial; those inside it in the order of k are
// whole, those outside 1. `start`, `extent`: the part to sum; it lies at `first` of the part that was packed, `whole`
// wide.
struct Chunk {
  int64_t start[4], extent[4], first[4], whole[4], k0, depth;
  bool channels_inner;

  // Calls f(k, i) for the part to sum, in order: k counts the packed steps, i are the offsets from start.
  template <class F>
  void each(F&& f) const {
    const int64_t *n = extent, *w = whole;
    int64_t i[4];
    if (channels_inner) {
      for (i[1] = 0; i[1] < n[1]; ++i[1])
        for (i[2] = 0; i[2] < n[2]; ++i[2])
          for (i[3] = 0; i[3] < n[3]; ++i[3]) {
            const int64_t k = (((first[1] + i[1]) * w[2] + first[2] + i[2]) * w[3] + first[3] + i[3]) * w[0] + first[0];
            for (i[0] = 0; i[0] < n[0]; ++i[0]) f(k + i[0], i);
          }
    } else {
      for (i[0] = 0; i[0] < n[0]; ++i[0])
        for (i[1] = 0; i[1] < n[1]; ++i[1])
          for (i[2] = 0; i[2] < n[2]; ++i[2]) {
            const int64_t k = (((first[0] + i[0]) * w[1] + first[1] + i[1]) * w[2] + first[2] + i[2]) * w[3] + first[3];
            for (i[3] = 0; i[3] < n[3]; ++i[3]) f(k + i[3], i);
          }
    }
  }
  int64_t steps() const { return extent[0] * extent[1] * extent[2] * extent[3]; }
  int dimension(int level) const { return channels_inner ? (level + 1) % 4 : level; }  // outermost first
};

struct Chunking {
  int64_t full[4], piece[4];
  bool channels_inner;

  Chunking(const Problem& p, int64_t most, bool channels_last = false)
      : full{p.channels, p.axis[0].taps, p.axis[1].taps, p.axis[2].taps},
        piece{1, 1, 1, 1},
        channels_inner(channels_last) {
    int64_t inner = 1;
    for (int level = 3; level >= 0; --level) {
      const int d = dimension(level);
      piece[d] = even_piece(full[d], std::max<int64_t>(1, most / std::max<int64_t>(1, inner)));
      if (piece[d] < full[d]) break;
      inner *= full[d];
    }
  }
  int dimension(int level) const { return channels_inner ? (level + 1) % 4 : level; }  // outermost first
  int64_t pieces(int d) const { return full[d] ? ceil_div(full[d], piece[d]) : 1; }
  int64_t count() const { return pieces(0) * pieces(1) * pieces(2) * pieces(3); }
  int64_t depth() const { return piece[0] * piece[1] * piece[2] * piece[3]; }
  Chunk operator[](int64_t i) const {
    Chunk c;
    int64_t inner = 1;
    c.k0 = 0, c.depth = 1, c.channels_inner = channels_inner;
    for (int level = 3; level >= 0; --level) {
      const int d = dimension(level);
      c.start[d] = i % pieces(d) * piece[d];
      c.extent[d] = c.whole[d] = std::min(piece[d], full[d] - c.start[d]);
      c.first[d] = 0;
      c.k0 += c.start[d] * inner;
      c.depth *= c.extent[d];
      inner *= full[d];
      i /= pieces(d);
    }
    return c;
  }
};

// Output positions: extent[0] samples, then z, y, x.
struct Block {
  int64_t start[4], extent[4];
  int64_t rows() const { return extent[0] * extent[1] * extent[2] * extent[3]; }
  int64_t lines() const { return extent[0] * extent[1] * extent[2]; }
};

// A box of outputs, cut into nearly equal blocks: parts[d] of them along dimension d.
struct Region {
  int64_t start[4], extent[4], parts[4];

  // Not inlined: GCC 12 at -O2 moves loads of parts[] out of loops that write parts[d] (right with -fno-tree-loop-im).
  __attribute__((noinline)) void cut(int d, int64_t pieces) { parts[d] = pieces; }
  void set(int d, int64_t most) { cut(d, ceil_div(extent[d], most)); }
  int64_t piece(int d) const { return ceil_div(extent[d], parts[d]); }  // the largest block's extent
  int64_t count() const { return parts[0] * parts[1] * parts[2] * parts[3]; }
  int64_t rows() const { return piece(0) * piece(1) * piece(2) * piece(3); }
  Block largest() const { return {{start[0], start[1], start[2], start[3]}, {piece(0), piece(1), piece(2), piece(3)}}; }
  Block operator[](int64_t i) const {
    Block b;
    for (int d = 3; d >= 0; --d) {
      const int64_t n = parts[d], at = i % n;
      b.start[d] = start[d] + at * extent[d] / n;
      b.extent[d] = (at + 1) * extent[d] / n - at * extent[d] / n;
      i /= n;
    }
    return b;
  }
};

// One block an output, before anyone makes them larger. Nothing at all counts as one, so that it can be planned for.
inline Region all_outputs(const Problem& p, int64_t y, int64_t x) {
  Region r = {{0, 0, 0, 0}, {p.batch, p.axis[0].out, y, x}, {}};
  for (int d = 0; d < 4; ++d) r.parts[d] = r.extent[d] = std::max<int64_t>(1, r.extent[d]);
  return r;
}

struct Regions {
  static constexpr int most = 2 * CK_MAX_SPATIAL + 1;
  Region region[most];  // the interior first
  int regions;

  // Borders are set apart on the axes with apart[a].
  Regions(const Problem& p, const bool (&apart)[CK_MAX_SPATIAL]) : regions(1) {
    Region rest = all_outputs(p, p.axis[1].out, p.axis[2].out);
    for (int a = CK_MAX_SPATIAL - 1; a >= 0; --a) {
      const Axis& x = p.axis[a];
      if (!apart[a]) continue;
      const int64_t reach = x.in + x.pad - (x.taps - 1) * x.dilation;  // windows that start below this end inside
      const int64_t lo = std::clamp<int64_t>(x.pad > 0 ? ceil_div(x.pad, x.stride) : 0, 0, x.out);
      const int64_t hi = std::clamp<int64_t>(reach > 0 ? ceil_div(reach, x.stride) : 0, lo, x.out);
      if (hi == lo) continue;
      for (const auto& [begin, end] : {std::pair(int64_t{0}, lo), std::pair(hi, x.out)}) {
        if (begin == end) continue;
        region[regions] = rest;
        region[regions].start[a + 1] = begin;
        region[regions++].extent[a + 1] = end - begin;
      }
      rest.start[a + 1] = lo;
      rest.extent[a + 1] = hi - lo;
    }
    region[0] = rest;
  }
  int64_t count() const {
    int64_t n = 0;
    for (int i = 0; i < regions; ++i) n += region[i].count();
    return n;
  }
  // Block i, and in `around` the whole region it is from.
  Block at(int64_t i, Block* around) const {
    int r = 0;
    for (; i >= region[r].count(); ++r) i -= region[r].count();
    const Region& from = region[r];
    std::copy(from.start, from.start + 4, around->start);
    std::copy(from.extent, from.extent + 4, around->extent);
    return from[i];
  }
};

// Whether consecutive outputs (b,z,y,x) of a block lie `step` apart throughout, given each dimension's stride.
inline bool even_stride(const ptrdiff_t (&stride)[4], const Block& block, ptrdiff_t* step) {
  int64_t run = 1;
  *step = 1;
  for (int d = 3; d >= 0; --d) {
    if (block.extent[d] == 1) continue;
    if (run == 1)
      *step = stride[d];
    else if (stride[d] != *step * run)
      return false;
    run *= block.extent[d];
  }
  return true;
}

inline bool even_stride(const Problem::Result& view, const Block& block, ptrdiff_t* step) {
  return even_stride({view.batch, view.axis[0], view.axis[1], view.axis[2]}, block, step);
}

// The i-th x line of a block, as a block; and where a block's first output lies in a result.
inline Block line_of(const Block& block, int64_t i) {
  Block line = block;
  line.start[2] += i % block.extent[2];
  line.start[1] += i / block.extent[2] % block.extent[1];
  line.start[0] += i / (block.extent[2] * block.extent[1]);
  line.extent[0] = line.extent[1] = line.extent[2] = 1;
  return line;
}

inline ptrdiff_t first_output(const Problem::Result& view, int64_t group, const Block& block) {
  ptrdiff_t at = view.offset + group * view.group + block.start[0] * view.batch;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) at += block.start[a + 1] * view.axis[a];
  return at;
}

// The part of a chunk whose taps meet the image from anywhere in the block; the others see only zero padding. Asked of
// whole regions, which the problem alone decides, so that what is left out depends on neither threads nor batch.
inline Chunk seen(const Problem& p, const Block& block, Chunk chunk) {
  if (p.pad_mode != CK_PAD_ZEROS) return chunk;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    const Axis& x = p.axis[a];
    const int64_t low = block.start[a + 1] * x.stride - x.pad, high = low + (block.extent[a + 1] - 1) * x.stride;
    const int64_t begin = chunk.start[a + 1], end = begin + chunk.extent[a + 1];
    const int64_t lo = std::clamp(high < 0 ? ceil_div(-high, x.dilation) : 0, begin, end);
    const int64_t hi = std::clamp(low < x.in ? ceil_div(x.in - low, x.dilation) : 0, lo, end);
    chunk.first[a + 1] += lo - begin;
    chunk.start[a + 1] = lo;
    chunk.extent[a + 1] = hi - lo;
  }
  return chunk;
}

// The part of the padded image that a block's outputs read in a chunk.
inline Box touched(const Problem& p, const Block& block, const Chunk& chunk) {
  Box box;
  box.b0 = block.start[0], box.batch = block.extent[0];
  box.c0 = chunk.start[0], box.channels = chunk.extent[0];
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    const Axis& axis = p.axis[a];
    box.start[a] = block.start[a + 1] * axis.stride + chunk.start[a + 1] * axis.dilation - axis.pad;
    box.count[a] =
        (block.extent[a + 1] - 1) * axis.stride + (std::max<int64_t>(1, chunk.extent[a + 1]) - 1) * axis.dilation + 1;
  }
  return box;
}

inline bool inside(const Problem& p, const Box& box) {
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    if (box.start[a] < 0 || box.start[a] + box.count[a] > p.axis[a].in) return false;
  return true;
}

}  // namespace convkern
