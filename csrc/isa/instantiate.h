// Fills one ISA's tables. An isa/NAME.cpp sets CK_ISA, CK_VECTOR_BYTES, CK_REGISTERS and CK_TILES(T), a list of
// tile_shape<T, rows, vectors>() from narrow to wide, then includes this file; setup.py compiles it with NAME's flags.
#include "kernels/bf16x3.h"
#include "kernels/depthwise.h"
#include "kernels/depthwise_plane.h"
#include "kernels/fft.h"
#include "kernels/lines.h"
#include "kernels/pack.h"
#include "kernels/softmax.h"
#include "kernels/sweep.h"
#include "kernels/tap.h"
#include "kernels/tile.h"
#include "kernels/update.h"
#include "kernels/winograd.h"
#include "kernels/winograd_few.h"

#define CK_STRING2(x) #x
#define CK_STRING(x) CK_STRING2(x)

namespace convkern {
namespace CK_ISA {

template <class T>
constexpr Kernels<T> make_kernels() {
  constexpr TileShape<T> shapes[] = {CK_TILES(T)};
  constexpr int count = sizeof shapes / sizeof shapes[0];
  static_assert(count <= max_tile_shapes);
  Kernels<T> table{};
  table.isa = CK_STRING(CK_ISA);
  table.lanes = lanes<T>;
  table.shapes = count;
  static_assert(shapes[count - 1].vectors * lanes<T> <= max_panel_lanes);
  for (int i = 0; i < count; ++i) table.tile[i] = shapes[i];
  table.pack = pack<T>;
  table.store = store_view<T>;
  using Line = Toom<1, 1>;
  const WinogradKernels<T> winograd[] = {
      winograd_kernels<T, Toom<2, 3>, Toom<2, 3>>(), winograd_kernels<T, Toom<4, 3>, Toom<4, 3>>(),
      winograd_kernels<T, Toom<4, 2>, Toom<4, 2>>(), winograd_kernels<T, Toom<2, 5>, Toom<2, 5>>(),
      winograd_kernels<T, Line, Toom<4, 3>>(),       winograd_kernels<T, Line, Toom<4, 2>>(),
      winograd_kernels<T, Line, Toom<2, 5>>(),       winograd_kernels<T, Toom<3, 4>, Toom<3, 4>>(),
  };
  static_assert(sizeof winograd == sizeof table.winograd);
  for (int i = 0; i < winograd_forms; ++i) table.winograd[i] = winograd[i];
  table.winograd[1].few_input = few_input<T, Toom<4, 3>, Toom<4, 3>>;
  table.winograd[1].few = few_line<T, Toom<4, 3>, Toom<4, 3>>;
  table.winograd[7].few_input = few_input<T, Toom<3, 4>, Toom<3, 4>>;
  table.winograd[7].few = few_line<T, Toom<3, 4>, Toom<3, 4>>;
  table.depthwise = depthwise<T>;
  table.sweep = sweep<T>;
  table.depthwise_plane = depthwise_plane<T>;
  table.every_nth = every_nth<T>;
  table.to_every_nth = to_every_nth<T>;
  table.depthwise_weight = depthwise_weight<T>;
  table.depthwise_weight_3x3 = CK_REGISTERS >= 32 ? depthwise_weight_3x3<T> : nullptr;
  table.fft = fft_kernels<T>();
  table.element = make_element_kernels<T>();
  table.tap = make_tap_kernels<T>();
  table.update = make_update_kernels<T>();
  if constexpr (sizeof(T) == 4) table.bf16x3 = make_bf16_kernels();
  table.peak = peak<T>;
  return table;
}

const Kernels<float> kernels_float = make_kernels<float>();
const Kernels<double> kernels_double = make_kernels<double>();
const LineTable lines_table = make_lines();

}  // namespace CK_ISA
}  // namespace convkern
