// AArch64 Advanced SIMD: 32 registers of 16 bytes.
#define CK_ISA neon
#define CK_VECTOR_BYTES 16
#define CK_REGISTERS 32
#define CK_TILES(T) tile_shape<T, 14, 1>(), tile_shape<T, 12, 2>(), tile_shape<T, 8, 3>(), tile_shape<T, 6, 4>()
#include "isa/instantiate.h"
