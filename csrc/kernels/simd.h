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

// (a0 b0 a1 b1 ...): the low and the high half of two vectors interleaved.
template <class T, bool High>
CK_INLINE Vector<T> interleave(Vector<T> a, Vector<T> b) {
  constexpr int w = lanes<T>, h = High ? w / 2 : 0;
#if defined(__clang__)
  if constexpr (w == 2) return __builtin_shufflevector(a, b, h, w + h);
  if constexpr (w == 4) return __builtin_shufflevector(a, b, h, w + h, h + 1, w + h + 1);
  if constexpr (w == 8)
    return __builtin_shufflevector(a, b, h, w + h, h + 1, w + h + 1, h + 2, w + h + 2, h + 3, w + h + 3);
  if constexpr (w == 16)
    return __builtin_shufflevector(a, b, h, w + h, h + 1, w + h + 1, h + 2, w + h + 2, h + 3, w + h + 3, h + 4,
                                   w + h + 4, h + 5, w + h + 5, h + 6, w + h + 6, h + 7, w + h + 7);
#else
  typename VectorOf<T>::index order;
  CK_UNROLL
  for (int i = 0; i < w; ++i) order[i] = (i % 2 ? w : 0) + h + i / 2;
  return __builtin_shuffle(a, b, order);
#endif
}

// r[i][j] <-> r[j][i] for a square of vectors: log2(lanes) rounds of perfect shuffles.
template <class T>
CK_INLINE void transpose(Vector<T> (&r)[lanes<T>]) {
  constexpr int w = lanes<T>;
  CK_UNROLL
  for (int round = 1; round < w; round *= 2) {
    Vector<T> s[w];
    CK_UNROLL
    for (int i = 0; i < w / 2; ++i) {
      s[2 * i] = interleave<T, false>(r[i], r[i + w / 2]);
      s[2 * i + 1] = interleave<T, true>(r[i], r[i + w / 2]);
    }
    CK_UNROLL
    for (int i = 0; i < w; ++i) r[i] = s[i];
  }
}

}  // namespace CK_ISA
}  // namespace convkern
