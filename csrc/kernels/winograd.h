// Winograd's minimal filtering F(m, r) along an axis, vectors along channels, t = m + r - 1 (Lavin & Gray 2016; Toom,
// Cook); in two dimensions F(my x mx, ry x rx), in one my = ry = 1:
//   Y = A^T [ sum_c (G g G^T) . (B^T d B) ] A        d: t x t image patch, g: r x r kernel, Y: m x m outputs
// The matrices are made here at compile time from the points 0, +-a, (+-b,) infinity. For n = t points,
//   A^T[k][i] = a_i^k,   G[i][k] = a_i^k / f_i,   B^T[i] = coefficients of prod_{j != i} (x - a_j),   f_i =
//   B^T[i](a_i),
// the last row or column standing for infinity. Rows of +-a are x h(x) +- a h(x) for one polynomial h, so pairs share
// sums.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <int M, int R>
struct Toom {
  static constexpr int m = M, r = R, t = M + R - 1;
  double at[M][t]{}, g[t][R]{}, bt[t][t]{};

  constexpr Toom() {
    // 0, +-3/4, +-3/2: about four times more accurate than 0, +-1, +-2 at the same cost; F(2, 3) needs only +-1.
    const double points[] = {0, t == 4 ? 1 : 0.75, t == 4 ? -1 : -0.75, 1.5, -1.5};
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
      for (int k = 0; k < (M > R ? M : R); ++k) {
        const bool end = i + 1 == t;
        if (k < M) at[k][i] = end ? k == M - 1 : power;
        if (k < R) g[i][k] = end ? k == R - 1 : power / f;
        if (!end) power *= points[i];
      }
    }
  }
  static constexpr bool paired(int i) { return i % 2 == 1 && i + 2 < t; }  // rows i and i + 1 belong to +-a
};

template <class F>
inline constexpr F toom{};

enum class Which { input, output, filter };  // B^T, A^T, G

template <class F, Which W>
constexpr double coefficient(int r, int c) {
  return W == Which::input ? toom<F>.bt[r][c] : W == Which::output ? toom<F>.at[r][c] : toom<F>.g[r][c];
}

// What rows r and r + 1 have in common (Part 1), by how much they differ from it (Part -1), or row r itself (Part 0).
template <class F, Which W, int Part>
constexpr double part(int r, int c) {
  if (Part == 0) return coefficient<F, W>(r, c);
  return (coefficient<F, W>(r, c) + Part * coefficient<F, W>(r + 1, c)) / 2;
}

// sum_{c >= C} part[R][c] in[c]; the coefficients are constants, so zeros and ones cost nothing.
template <class T, class F, Which W, int Part, int R, int C, int End>
CK_INLINE Vector<T> sum_of(const Vector<T>* in) {
  if constexpr (C >= End) {
    return Vector<T>{};
  } else {
    constexpr double k = part<F, W, Part>(R, C);
    if constexpr (k == 0) {
      return sum_of<T, F, W, Part, R, C + 1, End>(in);
    } else {
      Vector<T> term = in[C];
      if constexpr (k == -1)
        term = -term;
      else if constexpr (k != 1)
        term = term * static_cast<T>(k);
      if constexpr (C + 1 >= End)
        return term;
      else
        return term + sum_of<T, F, W, Part, R, C + 1, End>(in);
    }
  }
}

// out[r] = sum_c matrix[r][c] in[c] for r >= R. Rows of +-a share sums, where not much is left that differs.
template <class T, class F, Which W, int Columns, int R = 0>
CK_INLINE void multiply_rows(const Vector<T>* in, Vector<T>* out) {
  constexpr bool sharing = W == Which::input || F::t % 2 == 0;
  if constexpr (R < F::t && sharing && F::paired(R)) {
    const Vector<T> same = sum_of<T, F, W, 1, R, 0, Columns>(in), apart = sum_of<T, F, W, -1, R, 0, Columns>(in);
    out[R] = same + apart;
    out[R + 1] = same - apart;
    multiply_rows<T, F, W, Columns, R + 2>(in, out);
  } else if constexpr (R < F::t) {
    out[R] = sum_of<T, F, W, 0, R, 0, Columns>(in);
    multiply_rows<T, F, W, Columns, R + 1>(in, out);
  }
}

// out[r] = sum_c A^T[r][c] in[c] for r >= R; in holds (s_a + s_-a, s_a - s_-a) in place of (s_a, s_-a), of which even
// rows take the sum and odd rows the difference.
template <class T, class F, int R = 0>
CK_INLINE void multiply_paired(const Vector<T>* in, Vector<T>* out) {
  if constexpr (R < F::m) {
    constexpr int t = F::t;
    Vector<T> sum = R == 0 ? in[0] : R == F::m - 1 ? in[t - 1] : Vector<T>{};
    CK_UNROLL
    for (int c = 1; c + 2 < t; c += 2) {
      const T k = static_cast<T>(coefficient<F, Which::output>(R, c));
      sum = sum + in[c + R % 2] * k;
    }
    if constexpr (t > 2 && t % 2 == 1) {  // a point without its negative
      const T k = static_cast<T>(coefficient<F, Which::output>(R, t - 2));
      sum = sum + in[t - 2] * k;
    }
    out[R] = sum;
    multiply_paired<T, F, R + 1>(in, out);
  }
}

template <class T, class F>
CK_INLINE void multiply_output(Vector<T>* in, Vector<T>* out) {
  CK_UNROLL
  for (int c = 1; c + 2 < F::t; c += 2) {
    const Vector<T> a = in[c], b = in[c + 1];
    in[c] = a + b;
    in[c + 1] = a - b;
  }
  multiply_paired<T, F>(in, out);
}

// v[i*tx+j] = (B^T d B)[i][j] for `vectors` vectors of channels; d[i][j] at source + i*row + j*column. Y and X: the
// transforms along the axes.
template <class T, class Y, class X>
void winograd_input(const T* source, ptrdiff_t row, ptrdiff_t column, int64_t vectors, T* v, ptrdiff_t point) {
  constexpr int ty = Y::t, tx = X::t, w = lanes<T>;
  for (int64_t n = 0; n < vectors; ++n, source += w, v += w) {
    Vector<T> half[ty][tx];
    CK_UNROLL
    for (int j = 0; j < tx; ++j) {
      Vector<T> in[ty], out[ty];
      CK_UNROLL
      for (int i = 0; i < ty; ++i) in[i] = load<T>(source + i * row + j * column);
      multiply_rows<T, Y, Which::input, ty>(in, out);
      CK_UNROLL
      for (int i = 0; i < ty; ++i) half[i][j] = out[i];
    }
    CK_UNROLL
    for (int i = 0; i < ty; ++i) {
      Vector<T> out[tx];
      multiply_rows<T, X, Which::input, tx>(half[i], out);
      CK_UNROLL
      for (int j = 0; j < tx; ++j) store<T>(v + (i * tx + j) * point, out[j]);
    }
  }
}

// out(i, j) = clamp(bias + (A^T s A)[i][j] + residual(i, j)); sums of point p at s + p*point. False where a sum is NaN
// or infinite.
template <class T, class Y, class X>
bool winograd_output(const WinogradTile<T>& tile) {
  constexpr int ty = Y::t, tx = X::t, my = Y::m, mx = X::m, w = lanes<T>;
  const ptrdiff_t row = tile.row, column = tile.column, ahead = tile.ahead;
  const T *s = tile.sums, *extra = tile.residual;
  T* out = tile.out;
  Vector<T> nothing{};  // x - x: zero, but NaN for a NaN or an infinity
  for (int64_t n = 0; n < tile.vectors; ++n, s += w, out += w) {
    Vector<T> half[my][tx];
    CK_UNROLL
    for (int j = 0; j < tx; ++j) {
      Vector<T> in[ty], y[my];
      CK_UNROLL
      for (int i = 0; i < ty; ++i) in[i] = load<T>(s + (i * tx + j) * tile.point);
      multiply_output<T, Y>(in, y);
      CK_UNROLL
      for (int i = 0; i < my; ++i) half[i][j] = y[i];
    }
    const Vector<T> start = tile.bias ? load<T>(tile.bias + n * w) : Vector<T>{};
    CK_UNROLL
    for (int i = 0; i < my; ++i) {
      Vector<T> y[mx];
      multiply_output<T, X>(half[i], y);
      CK_UNROLL
      for (int j = 0; j < mx; ++j) {
        y[j] += start;
        nothing += y[j] - y[j];
      }
      if (extra) {
        CK_UNROLL
        for (int j = 0; j < mx; ++j) y[j] += load<T>(extra + n * w + i * tile.residual_row + j * tile.residual_column);
      }
      if (tile.clamp) {
        CK_UNROLL
        for (int j = 0; j < mx; ++j) y[j] = clamp<T>(y[j], splat<T>(tile.lo), splat<T>(tile.hi));
      }
      CK_UNROLL
      for (int j = 0; j < mx; ++j) {
        if (ahead) __builtin_prefetch(out + ahead + i * row + j * column, 1);
        store<T>(out + i * row + j * column, y[j]);
      }
    }
  }
  bool finite = true;
  for (int l = 0; l < w; ++l) finite &= nothing[l] == 0;
  return finite;
}

// u[i*tx+j] = (G g G^T)[i][j] for `vectors` vectors of outputs; tap (i, j) of g at source + i*row + j*tap.
template <class T, class Y, class X>
void winograd_filter(const T* source, ptrdiff_t row, ptrdiff_t tap, int64_t vectors, T* u, ptrdiff_t point) {
  constexpr int ty = Y::t, tx = X::t, ry = Y::r, rx = X::r, w = lanes<T>;
  for (int64_t n = 0; n < vectors; ++n, source += w, u += w) {
    Vector<T> half[ty][rx];
    CK_UNROLL
    for (int j = 0; j < rx; ++j) {
      Vector<T> in[ry], out[ty];
      CK_UNROLL
      for (int i = 0; i < ry; ++i) in[i] = load<T>(source + i * row + j * tap);
      multiply_rows<T, Y, Which::filter, ry>(in, out);
      CK_UNROLL
      for (int i = 0; i < ty; ++i) half[i][j] = out[i];
    }
    CK_UNROLL
    for (int i = 0; i < ty; ++i) {
      Vector<T> out[tx];
      multiply_rows<T, X, Which::filter, rx>(half[i], out);
      CK_UNROLL
      for (int j = 0; j < tx; ++j) store<T>(u + (i * tx + j) * point, out[j]);
    }
  }
}

template <class T, class Y, class X>
constexpr WinogradKernels<T> winograd_kernels() {
  return {{Y::m, X::m}, {Y::r, X::r}, winograd_input<T, Y, X>, winograd_output<T, Y, X>, winograd_filter<T, Y, X>,
          nullptr,      nullptr};
}

}  // namespace CK_ISA
}  // namespace convkern
