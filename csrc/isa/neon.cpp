// AArch64 Advanced SIMD: 32 registers of 16 bytes.

// GCC would load ahead until the sums no longer fit: a step of the 6x4 tile then takes 44 instructions for its 24
// multiply-adds, 6 of them to and from the stack, and 38 without. `make neon` counts them.
#if !defined(__clang__)
#pragma GCC optimize("no-schedule-insns")
#endif

#define CK_ISA neon
#define CK_VECTOR_BYTES 16
#define CK_REGISTERS 32
#define CK_TILES(T) tile_shape<T, 14, 1>(), tile_shape<T, 12, 2>(), tile_shape<T, 8, 3>(), tile_shape<T, 6, 4>()
#include "isa/instantiate.h"
