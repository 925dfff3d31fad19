// AVX2 and FMA: 16 registers of 32 bytes.
#define CK_ISA avx2
#define CK_VECTOR_BYTES 32
#define CK_REGISTERS 16
#define CK_TILES(T) tile_shape<T, 12, 1>(), tile_shape<T, 6, 2>(), tile_shape<T, 4, 3>()
#include "isa/instantiate.h"
