// The part of table.h for float32 products on bfloat16 units: sizes and function pointers. See kernels/bf16x3.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace convkern {

// A tile of the left operand is 16 rows of 32 terms, one of the right operand 32 terms of 16 columns.
inline constexpr int bf16_rows = 16, bf16_columns = 16, bf16_depth = 32;
inline constexpr int bf16_tile = bf16_columns * bf16_depth;  // elements of a tile of the right operand
inline constexpr int bf16_panel = 2 * bf16_columns;          // columns of a whole panel

// C[m][j] = bias[j] + sum over steps s and their terms k of A[m][s, k] B[s, k][j], for 2 x 16 rows that begin at a[0]
// and a[1] and one or two tiles of columns. With A = A' + A'' and B = B' + B'', all bfloat16, A'' B'' is left out.
struct Bf16Job {
  const uint16_t* a[2];   // A' of the first row of each tile; a[1] null: one tile of rows
  ptrdiff_t row, low;     // elements from a row to the next one, and from A' to A''
  const ptrdiff_t* step;  // where the terms of each step begin, elements from the row
  int64_t steps;
  const uint16_t* b;           // [step][B', B''][tile of columns][pair of terms][column][2]
  int columns;                 // tiles of columns: 1 or 2
  const float* bias;           // for each column, or null
  int begin[2], end[2], used;  // rows of each tile and columns that are wanted; others may be left as they are
  float* c;                    // [tile of rows][16] rows, `ldc` elements apart
  ptrdiff_t ldc;
};

struct Bf16Kernels {
  // high[i] + low[i] = x[i] to 16 bits, each rounded to nearest.
  void (*split)(const float* x, int64_t count, uint16_t* high, uint16_t* low);
  // One step of B from rows of `width` columns each, of which `rows` are there; as Bf16Job has it.
  void (*pack)(const float* panel, int64_t rows, int64_t width, uint16_t* b);
  void (*begin)();  // before the products of a thread, and
  void (*end)();    // after them
  void (*multiply)(const Bf16Job& job);
  bool (*finite)(const float* c, ptrdiff_t ldc, int64_t rows, int64_t columns);
};

}  // namespace convkern
