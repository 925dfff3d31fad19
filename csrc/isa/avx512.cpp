// AVX-512 F, BW, DQ, VL: 32 registers of 64 bytes.
#define CK_ISA avx512
#define CK_VECTOR_BYTES 64
#define CK_REGISTERS 32
#define CK_TILES(T) tile_shape<T, 14, 1>(), tile_shape<T, 14, 2>(), tile_shape<T, 9, 3>(), tile_shape<T, 6, 4>()
#include "isa/instantiate.h"
