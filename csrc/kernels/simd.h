// One vector type, about ten operations. Included once per ISA, inside that ISA's namespace (CK_ISA), so that code
// compiled with different flags never meets in the linker. Compilers: GCC >= 11, Clang >= 14 vector extensions.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#define CK_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define CK_UNROLL _Pragma("GCC unroll 32")
#define CK_NO_UNROLL _Pragma("GCC unroll 1")
#endif
#define CK_INLINE inline __attribute__((always_inline))
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define CK_FUSED true
#else
#define CK_FUSED false
#endif

namespace convkern {
namespace CK_ISA {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(CK_VECTOR_BYTES)));
};
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(CK_VECTOR_BYTES)));
  typedef int32_t index __attribute__((vector_size(CK_VECTOR_BYTES)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(CK_VECTOR_BYTES)));
  typedef int64_t index __attribute__((vector_size(CK_VECTOR_BYTES)));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
inline constexpr int lanes = CK_VECTOR_BYTES / sizeof(T);
inline constexpr bool fused_multiply_add = CK_FUSED;

template <class T>
CK_INLINE Vector<T> load(const void* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
CK_INLINE void store(void* to, Vector<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}

template <class T>
CK_INLINE Vector<T> splat(T x) {
  return x - Vector<T>{};  // x - 0 is x for every x, -0 and NaN included, so this is one broadcast
}

// Keeps a value in its register, where the compiler would load it anew for every use.
template <class V>
CK_INLINE void keep(V& v) {
#if defined(__x86_64__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
}

// NaN passes through: both comparisons are false for it.
template <class T>
CK_INLINE Vector<T> clamp(Vector<T> v, Vector<T> lo, Vector<T> hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}
template <class T>
CK_INLINE T clamp(T v, T lo, T hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

// Order::at(i) of (a, b) as one vector, i = 0 .. lanes - 1.
#if defined(__clang__)
template <class I, I... At>
struct Sequence {};
template <class T, class Order, class I, I... At>
CK_INLINE Vector<T> shuffle(Vector<T> a, Vector<T> b, Sequence<I, At...>) {
  return __builtin_shufflevector(a, b, Order::at(At)...);
}
template <class T, class Order>
CK_INLINE Vector<T> shuffle(Vector<T> a, Vector<T> b) {
  return shuffle<T, Order>(a, b, __make_integer_seq<Sequence, int, lanes<T>>{});
}
#else
template <class T, class Order>
CK_INLINE Vector<T> shuffle(Vector<T> a, Vector<T> b) {
  typename VectorOf<T>::index order;
  CK_UNROLL
  for (int i = 0; i < lanes<T>; ++i) order[i] = Order::at(i);
  return __builtin_shuffle(a, b, order);
}
#endif

// (a0 b0 a1 b1 ...): the low or the high half of two whole vectors.
template <class T, bool High>
struct Perfect {
  static constexpr int at(int i) { return (High ? lanes<T> / 2 : 0) + i / 2 + i % 2 * lanes<T>; }
};

// Elements of 16 bytes, which cheap shuffles stay within.
template <class T>
inline constexpr int quad = 16 / sizeof(T);
// (a0 b0 a1 b1 ...) of the low or the high half of every 16 bytes of two vectors.
template <class T, bool High>
struct Interleave {
  static constexpr int at(int i) {
    return i / quad<T> * quad<T> + (High ? quad<T> / 2 : 0) + i % quad<T> / 2 + i % 2 * lanes<T>;
  }
};
// The even or the odd 16 bytes of a, then those of b.
template <class T, bool Odd>
struct Alternate {
  static constexpr int at(int i) { return (2 * (i / quad<T>)+(Odd ? 1 : 0)) * quad<T> + i % quad<T>; }
};

// r[i][j] <-> r[j][i] for a square of vectors: squares within 16 bytes by perfect shuffles, then 16 bytes as elements.
template <class T>
CK_INLINE void transpose(Vector<T> (&r)[lanes<T>]) {
  constexpr int w = lanes<T>, q = quad<T>, blocks = w / q;
  Vector<T> s[w];
  CK_UNROLL
  for (int round = 1; round < q; round *= 2) {
    CK_UNROLL
    for (int b = 0; b < w; b += q) CK_UNROLL
    for (int i = 0; i < q / 2; ++i) {
      s[b + 2 * i] = shuffle<T, Interleave<T, false>>(r[b + i], r[b + i + q / 2]);
      s[b + 2 * i + 1] = shuffle<T, Interleave<T, true>>(r[b + i], r[b + i + q / 2]);
    }
    CK_UNROLL
    for (int i = 0; i < w; ++i) r[i] = s[i];
  }
  CK_UNROLL
  for (int round = 1; round < blocks; round *= 2) {
    CK_UNROLL
    for (int b = 0; b < blocks / 2; ++b) CK_UNROLL
    for (int i = 0; i < q; ++i) {
      s[b * q + i] = shuffle<T, Alternate<T, false>>(r[2 * b * q + i], r[(2 * b + 1) * q + i]);
      s[(b + blocks / 2) * q + i] = shuffle<T, Alternate<T, true>>(r[2 * b * q + i], r[(2 * b + 1) * q + i]);
    }
    CK_UNROLL
    for (int i = 0; i < w; ++i) r[i] = s[i];
  }
}

}  // namespace CK_ISA
}  // namespace convkern
