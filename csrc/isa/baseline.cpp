// x86-64-v2 (SSE4.2): 16 registers of 16 bytes, multiply and add apart.
#define CK_ISA baseline
#define CK_VECTOR_BYTES 16
#define CK_REGISTERS 16
#define CK_TILES(T) tile_shape<T, 12, 1>(), tile_shape<T, 6, 2>(), tile_shape<T, 4, 3>()
#include "isa/instantiate.h"
