// Winograd's minimal filtering F(m x m, 3 x 3), vectors along channels, t = m + 2 (Lavin & Gray 2016; Toom, Cook):
//   Y = A^T [ sum_c (G g G^T) . (B^T d B) ] A        d: t x t image patch, g: 3 x 3 kernel, Y: m x m outputs
// The matrices are made here at compile time from the points 0, +-a, (+-b,) infinity. For n = t points,
//   A^T[k][i] = a_i^k,   G[i][k] = a_i^k / f_i,   B^T[i] = coefficients of prod_{j != i} (x - a_j),   f_i =
//   B^T[i](a_i),
// the last row or column standing for infinity. Rows of +-a differ in the sign of their odd terms, so pairs share sums.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <int M>
struct Toom {
  static constexpr int taps = 3, t = M + taps - 1;
  double at[M][t]{}, g[t][taps]{}, bt[t][t]{};

  constexpr Toom() {
    // 0, +-3/4, +-3/2: about four times more accurate than 0, +-1, +-2 at the same cost; F(2) needs only +-1.
    const double points[] = {0, M == 2 ? 1 : 0.75, M == 2 ? -1 : -0.75, 1.5, -1.5};
    for (int i = 0; i < t; ++i) {
      double f = 1;
      int degree = 0;
      bt[i][0] = 1;
      for (int j = 0; j + 1 < t; ++j) {
        if (i + 1 < t && j == i) continue;
        for (int k = ++degree; k >= 0; --k) bt[i][k] = (k > 0 ? bt[i][k - 1] : 0) - points[j] * bt[i][k];
        if (i + 1 < t) f *= points[i] - points[j];
      }
      double power = 1;
      for (int k = 0; k < (M > taps ? M : taps); ++k) {
        const bool end = i + 1 == t;
        if (k < M) at[k][i] = end ? k == M - 1 : power;
        if (k < taps) g[i][k] = end ? k == taps - 1 : power / f;
        if (!end) power *= points[i];
      }
    }
  }
};

template <int M>
inline constexpr Toom<M> toom{};

enum class Which { input, output, filter };  // B^T, A^T, G

template <int M, Which W>
constexpr double coefficient(int r, int c) {
  return W == Which::input ? toom<M>.bt[r][c] : W == Which::output ? toom<M>.at[r][c] : toom<M>.g[r][c];
}

// sum_{c = C, C+Step, ... < End} matrix[R][c] in[c]; the coefficients are constants, so zeros and ones cost nothing.
template <class T, int M, Which W, int R, int C, int Step, int End>
CK_INLINE Vector<T> sum_of(const Vector<T>* in) {
  if constexpr (C >= End) {
    return Vector<T>{};
  } else {
    constexpr double k = coefficient<M, W>(R, C);
    if constexpr (k == 0) {
      return sum_of<T, M, W, R, C + Step, Step, End>(in);
    } else {
      Vector<T> term = in[C];
      if constexpr (k == -1)
        term = -term;
      else if constexpr (k != 1)
        term = term * static_cast<T>(k);
      if constexpr (C + Step >= End)
        return term;
      else
        return term + sum_of<T, M, W, R, C + Step, Step, End>(in);
    }
  }
}

// out[r] = sum_c matrix[r][c] in[c] for r >= R, where rows 1 and 2, 3 and 4, ... belong to +-a.
template <class T, int M, Which W, int Columns, int R = 0>
CK_INLINE void multiply_rows(const Vector<T>* in, Vector<T>* out) {
  constexpr int rows = M + 2;
  if constexpr (R == 0 || R == rows - 1) {
    out[R] = sum_of<T, M, W, R, 0, 1, Columns>(in);
    if constexpr (R == 0) multiply_rows<T, M, W, Columns, 1>(in, out);
  } else {
    const Vector<T> even = sum_of<T, M, W, R, 0, 2, Columns>(in), odd = sum_of<T, M, W, R, 1, 2, Columns>(in);
    out[R] = even + odd;
    out[R + 1] = even - odd;
    multiply_rows<T, M, W, Columns, R + 2>(in, out);
  }
}

// out[r] = sum_c A^T[r][c] in[c] for r >= R; in holds (s_a + s_-a, s_a - s_-a) in place of (s_a, s_-a), of which even
// rows take the sum and odd rows the difference.
template <class T, int M, int R = 0>
CK_INLINE void multiply_paired(const Vector<T>* in, Vector<T>* out) {
  if constexpr (R < M) {
    constexpr int t = M + 2;
    Vector<T> sum = R == 0 ? in[0] : R == M - 1 ? in[t - 1] : Vector<T>{};
    CK_UNROLL
    for (int c = 1; c + 2 < t; c += 2) {
      const T k = static_cast<T>(coefficient<M, Which::output>(R, c));
      sum = sum + in[c + R % 2] * k;
    }
    out[R] = sum;
    multiply_paired<T, M, R + 1>(in, out);
  }
}

template <class T, int M>
CK_INLINE void multiply_output(Vector<T>* in, Vector<T>* out) {
  CK_UNROLL
  for (int c = 1; c + 2 < M + 2; c += 2) {
    const Vector<T> a = in[c], b = in[c + 1];
    in[c] = a + b;
    in[c + 1] = a - b;
  }
  multiply_paired<T, M>(in, out);
}

// v[i*t+j] = (B^T d B)[i][j] for `vectors` vectors of channels; d[i][j] at source + i*row + j*column.
template <class T, int M>
void winograd_input(const T* source, ptrdiff_t row, ptrdiff_t column, int64_t vectors, T* v, ptrdiff_t point) {
  constexpr int t = M + 2, w = lanes<T>;
  for (int64_t n = 0; n < vectors; ++n, source += w, v += w) {
    Vector<T> half[t][t];
    CK_UNROLL
    for (int j = 0; j < t; ++j) {
      Vector<T> in[t], out[t];
      CK_UNROLL
      for (int i = 0; i < t; ++i) in[i] = load<T>(source + i * row + j * column);
      multiply_rows<T, M, Which::input, t>(in, out);
      CK_UNROLL
      for (int i = 0; i < t; ++i) half[i][j] = out[i];
    }
    CK_UNROLL
    for (int i = 0; i < t; ++i) {
      Vector<T> out[t];
      multiply_rows<T, M, Which::input, t>(half[i], out);
      CK_UNROLL
      for (int j = 0; j < t; ++j) store<T>(v + (i * t + j) * point, out[j]);
    }
  }
}

// out(i, j) = bias + (A^T s A)[i][j]; sums of point p at s + p*point. False where an output is NaN or infinite.
template <class T, int M>
bool winograd_output(const T* s, ptrdiff_t point, int64_t vectors, const T* bias, T* out, ptrdiff_t row,
                     ptrdiff_t column) {
  constexpr int t = M + 2, w = lanes<T>;
  Vector<T> nothing{};  // x - x: zero, but NaN for a NaN or an infinity
  for (int64_t n = 0; n < vectors; ++n, s += w, out += w) {
    Vector<T> half[M][t];
    CK_UNROLL
    for (int j = 0; j < t; ++j) {
      Vector<T> in[t], y[M];
      CK_UNROLL
      for (int i = 0; i < t; ++i) in[i] = load<T>(s + (i * t + j) * point);
      multiply_output<T, M>(in, y);
      CK_UNROLL
      for (int i = 0; i < M; ++i) half[i][j] = y[i];
    }
    const Vector<T> start = bias ? load<T>(bias + n * w) : Vector<T>{};
    CK_UNROLL
    for (int i = 0; i < M; ++i) {
      Vector<T> y[M];
      multiply_output<T, M>(half[i], y);
      CK_UNROLL
      for (int j = 0; j < M; ++j) {
        y[j] += start;
        nothing += y[j] - y[j];
        store<T>(out + i * row + j * column, y[j]);
      }
    }
  }
  bool finite = true;
  for (int l = 0; l < w; ++l) finite &= nothing[l] == 0;
  return finite;
}

// u[i*t+j] = (G g G^T)[i][j] for `vectors` vectors of outputs; tap k of g at source + k*tap.
template <class T, int M>
void winograd_filter(const T* source, ptrdiff_t tap, int64_t vectors, T* u, ptrdiff_t point) {
  constexpr int t = M + 2, w = lanes<T>;
  for (int64_t n = 0; n < vectors; ++n, source += w, u += w) {
    Vector<T> half[t][3];
    CK_UNROLL
    for (int j = 0; j < 3; ++j) {
      Vector<T> in[3], out[t];
      CK_UNROLL
      for (int i = 0; i < 3; ++i) in[i] = load<T>(source + (i * 3 + j) * tap);
      multiply_rows<T, M, Which::filter, 3>(in, out);
      CK_UNROLL
      for (int i = 0; i < t; ++i) half[i][j] = out[i];
    }
    CK_UNROLL
    for (int i = 0; i < t; ++i) {
      Vector<T> out[t];
      multiply_rows<T, M, Which::filter, 3>(half[i], out);
      CK_UNROLL
      for (int j = 0; j < t; ++j) store<T>(u + (i * t + j) * point, out[j]);
    }
  }
}

}  // namespace CK_ISA
}  // namespace convkern
