// Cutting a problem: the sum over k = (c, tz, ty, tx) into chunks that are ranges of that order, and the outputs
// (b, z, y, x) into blocks. Chunks follow one another, so every output stays one chain of multiply-adds in the order of k.
// Pure arithmetic: knows no memory and no ISA.
#pragma once

#include <algorithm>

#include "core/problem.h"
#include "core/stage.h"

namespace convkern {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The size of the pieces when n is cut into nearly equal ones of at most `most`.
inline int64_t even_piece(int64_t n, int64_t most) { return n <= most ? n : ceil_div(n, ceil_div(n, most)); }

// extent[0] channels, then z, y, x taps. At most one level is partial; the levels inside it are whole, those outside 1.
struct Chunk {
  int64_t start[4], extent[4], k0, depth;
};

struct Chunking {
  int64_t full[4], piece[4];

  Chunking(const Problem& p, int64_t most)
      : full{p.channels, p.axis[0].taps, p.axis[1].taps, p.axis[2].taps}, piece{1, 1, 1, 1} {
    int64_t inner = 1;
    for (int level = 3; level >= 0; --level) {
      piece[level] = even_piece(full[level], std::max<int64_t>(1, most / std::max<int64_t>(1, inner)));
      if (piece[level] < full[level]) break;
      inner *= full[level];
    }
  }
  int64_t count() const {
    int64_t n = 1;
    for (int level = 0; level < 4; ++level) n *= full[level] ? ceil_div(full[level], piece[level]) : 1;
    return n;
  }
  int64_t depth() const { return piece[0] * piece[1] * piece[2] * piece[3]; }
  Chunk operator[](int64_t i) const {
    Chunk c;
    int64_t inner = 1;
    c.k0 = 0, c.depth = 1;
    for (int level = 3; level >= 0; --level) {
      const int64_t pieces = full[level] ? ceil_div(full[level], piece[level]) : 1;
      c.start[level] = i % pieces * piece[level];
      c.extent[level] = std::min(piece[level], full[level] - c.start[level]);
      c.k0 += c.start[level] * inner;
      c.depth *= c.extent[level];
      inner *= full[level];
      i /= pieces;
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

struct Blocks {
  int64_t full[4], piece[4];

  explicit Blocks(const Problem& p)
      : full{p.batch, p.axis[0].out, p.axis[1].out, p.axis[2].out}, piece{1, 1, 1, 1} {}
  // Not inlined: GCC 12 at -O2 moves loads of piece[] out of loops that write piece[d] (right with -fno-tree-loop-im).
  __attribute__((noinline)) void set(int d, int64_t extent) { piece[d] = extent; }
  int64_t pieces(int d) const { return ceil_div(full[d], piece[d]); }
  int64_t count() const { return pieces(0) * pieces(1) * pieces(2) * pieces(3); }
  int64_t rows() const { return piece[0] * piece[1] * piece[2] * piece[3]; }
  Block operator[](int64_t i) const {
    Block b;
    for (int d = 3; d >= 0; --d) {
      const int64_t n = pieces(d), at = i % n;
      b.start[d] = at * full[d] / n;
      b.extent[d] = (at + 1) * full[d] / n - b.start[d];
      i /= n;
    }
    return b;
  }
};

// Whether consecutive outputs (b,z,y,x) of a block lie `step` apart throughout, given each dimension's stride.
inline bool even_stride(const ptrdiff_t (&stride)[4], const Block& block, ptrdiff_t* step) {
  int64_t run = 1;
  *step = 1;
  for (int d = 3; d >= 0; --d) {
    if (block.extent[d] == 1) continue;
    if (run == 1) *step = stride[d];
    else if (stride[d] != *step * run) return false;
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

// The part of the padded image that a block's outputs read in a chunk.
inline Box touched(const Problem& p, const Block& block, const Chunk& chunk) {
  Box box;
  box.b0 = block.start[0], box.batch = block.extent[0];
  box.c0 = chunk.start[0], box.channels = chunk.extent[0];
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    const Axis& axis = p.axis[a];
    box.start[a] = block.start[a + 1] * axis.stride + chunk.start[a + 1] * axis.dilation - axis.pad;
    box.count[a] = (block.extent[a + 1] - 1) * axis.stride +
                   (std::max<int64_t>(1, chunk.extent[a + 1]) - 1) * axis.dilation + 1;
  }
  return box;
}

inline bool inside(const Problem& p, const Box& box) {
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    if (box.start[a] < 0 || box.start[a] + box.count[a] > p.axis[a].in) return false;
  return true;
}

}  // namespace convkern
