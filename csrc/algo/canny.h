// Canny's last two steps on one plane (Canny 1986): thin the gradient's ridges, then follow them.
//   marks: 0 no edge, 1 weak (magnitude >= low), 2 strong (>= high); traced: weak ones that touch no strong one go
// Knows neither smoothing nor how the gradient was taken.
#pragma once

#include <stdint.h>

#include "convkern.h"

namespace convkern {

// A pixel is kept where its magnitude is at least that of both points one step along the gradient, interpolated
// linearly between their two nearest neighbours. Contiguous planes; inside: pixels that may be edges (never those of
// the first and last rows and columns), or null for all.
template <class T>
void thin_edges(const T* down, const T* right, const T* magnitude, const uint8_t* inside, int64_t ny, int64_t nx, T low,
                T high, uint8_t* marks);

// Marks become 1 where a path of marked neighbours, diagonal ones too, leads to a strong pixel; all others 0.
ck_status trace_edges(uint8_t* marks, int64_t ny, int64_t nx);

}  // namespace convkern
