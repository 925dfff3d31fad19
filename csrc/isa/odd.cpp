// Test-only: awkward tile sizes, so that small problems reach every edge on any machine.
#define CK_ISA odd
#define CK_VECTOR_BYTES 16
#define CK_REGISTERS 16
#define CK_TILES(T) tile_shape<T, 3, 1>(), tile_shape<T, 5, 2>(), tile_shape<T, 2, 3>()
#include "isa/instantiate.h"
