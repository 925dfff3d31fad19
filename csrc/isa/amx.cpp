// Intel's AMX: eight tiles of 16 x 64 bytes beside AVX-512, whose tables serve everything else. A product of two
// bfloat16 tiles takes 16 cycles for 8192 multiply-adds; two by two tiles of sums share four operands,
//   C[i][j] += A'[i] B''[j],   A'[i] B'[j],   A''[i] B'[j]         12 products, 8 loads of a tile a step.
#define CK_ISA amx
#define CK_VECTOR_BYTES 64
#define CK_REGISTERS 32
#include <immintrin.h>

#include "kernels/bf16x3.h"
#include "kernels/table.h"

namespace convkern {
namespace amx {
namespace {

struct alignas(64) TileConfiguration {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// All tiles are whole.
void begin() {
  static const TileConfiguration whole = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&whole);
}
void end() { _tile_release(); }

__m512i bf16_pair(__m512 low, __m512 high) {
  const __m512bh pair = _mm512_cvtne2ps_pbh(high, low);
  __m512i bits;
  __builtin_memcpy(&bits, &pair, sizeof bits);
  return bits;
}
// The first or the second half of 32 bfloat16 as float32. Zero-masked throughout: GCC 12 warns of its own headers'
// rest.
template <int Half>
__m512 widened(__m512i x) {
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm512_maskz_extracti64x4_epi64(0xff, x, Half));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, wide, 16));
}

void split(const float* x, int64_t count, uint16_t* high, uint16_t* low) {
  for (; count > 0; count -= 32, x += 32, high += 32, low += 32) {
    const __mmask32 there = count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
    const __m512 first = _mm512_maskz_loadu_ps(static_cast<__mmask16>(there), x);
    const __m512 second = _mm512_maskz_loadu_ps(static_cast<__mmask16>(there >> 16), x + 16);
    const __m512i h = bf16_pair(first, second);
    const __m512 rest = _mm512_sub_ps(first, widened<0>(h));
    const __m512 more = _mm512_sub_ps(second, widened<1>(h));
    _mm512_mask_storeu_epi16(high, there, h);
    _mm512_mask_storeu_epi16(low, there, bf16_pair(rest, more));
  }
}

// Pairs of terms side by side: element j of the lower half, then element j of the upper one.
__m512i woven(__m512i x) {
  alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_maskz_permutexvar_epi16(~__mmask32{0}, _mm512_load_si512(order), x);
}

void pack(const float* panel, int64_t rows, int64_t width, uint16_t* b) {
  uint16_t* const low = b + width * bf16_depth;
  for (int64_t k = 0; k < bf16_depth; k += 2)
    for (int64_t j = 0; j < width; j += bf16_columns) {
      const int64_t at = j * bf16_depth + k * bf16_columns;
      const float* from = panel + k * width + j;
      const __m512 even = k < rows ? _mm512_loadu_ps(from) : _mm512_setzero_ps();
      const __m512 odd = k + 1 < rows ? _mm512_loadu_ps(from + width) : _mm512_setzero_ps();
      const __m512i h = bf16_pair(even, odd);
      const __m512i rest = bf16_pair(_mm512_sub_ps(even, widened<0>(h)), _mm512_sub_ps(odd, widened<1>(h)));
      _mm512_storeu_si512(b + at, woven(h));
      _mm512_storeu_si512(low + at, woven(rest));
    }
}

// Tiles 0 to 3 hold sums, 4 and 5 rows, 6 and 7 columns.
template <int Rows, int Columns>
void multiply_tiles(const Bf16Job& job) {
  constexpr bool two_rows = Rows == 2, two_columns = Columns == 2;
  if (job.bias) {  // every row of a tile at once: the distance between its rows is 0
    _tile_loadd(0, job.bias, 0);
    if constexpr (two_columns) _tile_loadd(1, job.bias + 16, 0);
    if constexpr (two_rows) _tile_loadd(2, job.bias, 0);
    if constexpr (two_rows && two_columns) _tile_loadd(3, job.bias + 16, 0);
  } else {
    _tile_zero(0);
    if constexpr (two_columns) _tile_zero(1);
    if constexpr (two_rows) _tile_zero(2);
    if constexpr (two_rows && two_columns) _tile_zero(3);
  }
  const ptrdiff_t row = 2 * job.row;
  const uint16_t* b = job.b;
  for (const ptrdiff_t *step = job.step, *end = step + job.steps; step != end; ++step) {
    const uint16_t *first = job.a[0] + *step, *second = two_rows ? job.a[1] + *step : nullptr;
    const uint16_t* low = b + Columns * bf16_tile;
    _tile_loadd(6, low, 64);
    _tile_loadd(4, first, row);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (two_columns) {
      _tile_loadd(7, low + bf16_tile, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (two_rows) {
      _tile_loadd(5, second, row);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (two_rows) _tile_dpbf16ps(2, 5, 6);
    if constexpr (two_columns) {
      _tile_loadd(7, b + bf16_tile, 64);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (two_rows) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_loadd(4, first + job.low, row);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (two_columns) _tile_dpbf16ps(1, 4, 7);
    if constexpr (two_rows) {
      _tile_loadd(5, second + job.low, row);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (two_columns) _tile_dpbf16ps(3, 5, 7);
    }
    b = low + Columns * bf16_tile;
  }
  float* const c = job.c;
  const ptrdiff_t ldc = 4 * job.ldc;
  _tile_stored(0, c, ldc);
  if constexpr (two_columns) _tile_stored(1, c + 16, ldc);
  if constexpr (two_rows) _tile_stored(2, c + bf16_rows * job.ldc, ldc);
  if constexpr (two_rows && two_columns) _tile_stored(3, c + bf16_rows * job.ldc + 16, ldc);
}

void multiply(const Bf16Job& job) {
  if (job.a[1])
    job.columns == 2 ? multiply_tiles<2, 2>(job) : multiply_tiles<2, 1>(job);
  else
    job.columns == 2 ? multiply_tiles<1, 2>(job) : multiply_tiles<1, 1>(job);
}

// No exponent is all ones. Twice the bits of a number, as an integer, are its magnitude.
bool finite(const float* c, ptrdiff_t ldc, int64_t rows, int64_t columns) {
  const __mmask16 first = columns >= 16 ? 0xffff : (1u << columns) - 1;
  const __mmask16 second = columns >= 32 ? 0xffff : columns > 16 ? (1u << (columns - 16)) - 1 : 0;
  __m512i largest = _mm512_setzero_si512(), other = largest;
  for (; rows > 0; --rows, c += ldc) {
    const __m512i x = _mm512_maskz_loadu_epi32(first, c), y = _mm512_maskz_loadu_epi32(second, c + 16);
    largest = _mm512_maskz_max_epu32(0xffff, largest, _mm512_add_epi32(x, x));
    other = _mm512_maskz_max_epu32(0xffff, other, _mm512_add_epi32(y, y));
  }
  const __m512i limit = _mm512_set1_epi32(static_cast<int>(0xff000000));
  return _mm512_cmpge_epu32_mask(_mm512_maskz_max_epu32(0xffff, largest, other), limit) == 0;
}

}  // namespace

const Bf16Kernels bf16_kernels = {split, pack, begin, end, multiply, finite};

}  // namespace amx
}  // namespace convkern
