// The ops of pooling on vectors of any length: max, min (both let NaN through) and add.
//   combine(acc, v) = acc op v
// Knows no windows.
#pragma once

#include <type_traits>

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <class T, int L>
struct Short {
  typedef T type __attribute__((vector_size(L * sizeof(T))));
};

template <class V>
CK_INLINE V load_as(const void* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class V>
CK_INLINE void store_as(void* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// Whether v replaces acc, as lanes of all ones.
template <Reduction Op, class V>
CK_INLINE auto beats(V v, V acc) {
  if constexpr (Op == Reduction::max)
    return (v > acc) | (v != v);
  else
    return (v < acc) | (v != v);
}

// x86's maximum of a NaN and a number is its second operand: both orders together, bit by bit, keep the NaN, and no
// comparison has to pass through a mask register. Of 0 and -0 it makes -0, in either order.
template <class T, Reduction Op, int L>
CK_INLINE typename Short<T, L>::type extreme(typename Short<T, L>::type a, typename Short<T, L>::type b) {
  using V = typename Short<T, L>::type;
  using I = typename Short<typename PositionOf<T>::type, L>::type;
  const V one = (Op == Reduction::max ? a > b : a < b) ? a : b, other = (Op == Reduction::max ? b > a : b < a) ? b : a;
  return (V)((I)one | (I)other);
}

template <Reduction Op, class V>
CK_INLINE V combine(V acc, V v) {
  if constexpr (Op == Reduction::add) {
    return acc + v;
  } else if constexpr (std::is_arithmetic_v<V>) {
    return extreme<V, Op, 1>(typename Short<V, 1>::type{acc}, typename Short<V, 1>::type{v})[0];
  } else {
    using T = std::remove_cv_t<std::remove_reference_t<decltype(acc[0])>>;
    return extreme<T, Op, sizeof(V) / sizeof(T)>(acc, v);
  }
}

template <class T, Reduction Op>
constexpr T identity() {
  if constexpr (Op == Reduction::add) return T(0);
  return Op == Reduction::max ? -static_cast<T>(__builtin_inf()) : static_cast<T>(__builtin_inf());
}

}  // namespace CK_ISA
}  // namespace convkern
