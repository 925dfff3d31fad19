// Winograd for a short sum (few channels): transform points of some tiles and vectors of outputs are summed in
// registers and transformed back from there, instead of going through memory between three steps.
//   half[i][j] = sum_r A^T[i][r] (sum_k V[j][k][r][tile] U[vector][j][k][r])      Y = half A
// Tiles lie side by side in V, so that the input transform has tiles in its lanes. Knows neither image nor borders.
#pragma once

#include "kernels/winograd.h"

namespace convkern {
namespace CK_ISA {

// V[i][j][tile] = (B^T d B)[i][j] for `vectors` vectors of tiles, at v + i*v_row + j*v_column; d[i][j] at
// source + i*row + column[j].
template <class T, class Y, class X>
void few_input(const T* source, ptrdiff_t row, const ptrdiff_t* column, int64_t vectors, T* v, ptrdiff_t v_row,
               ptrdiff_t v_column) {
  constexpr int ty = Y::t, tx = X::t, w = lanes<T>;
  for (int64_t n = 0; n < vectors; ++n, source += w, v += w) {
    Vector<T> half[ty][tx];
    CK_UNROLL
    for (int j = 0; j < tx; ++j) {
      Vector<T> in[ty], out[ty];
      CK_UNROLL
      for (int i = 0; i < ty; ++i) in[i] = load<T>(source + i * row + column[j]);
      multiply_rows<T, Y, Which::input, ty>(in, out);
      CK_UNROLL
      for (int i = 0; i < ty; ++i) half[i][j] = out[i];
    }
    CK_UNROLL
    for (int i = 0; i < ty; ++i) {
      Vector<T> out[tx];
      multiply_rows<T, X, Which::input, tx>(half[i], out);
      CK_UNROLL
      for (int j = 0; j < tx; ++j) store<T>(v + i * v_row + j * v_column, out[j]);
    }
  }
}

// NV vectors of outputs from `vector` on, of NT tiles from `tile` on, of which those beyond the last are not stored.
template <class T, class Y, class X, int NV, int NT>
void few_tiles(const WinogradFew<T>& job, int64_t vector, int64_t tile, Vector<T>* nothing) {
  constexpr int ty = Y::t, tx = X::t, my = Y::m, mx = X::m, w = lanes<T>;
  Vector<T> half[NT][NV][my][tx];
  const ptrdiff_t pitch = job.pitch, next = job.depth * tx * ty * w;
  const T *a = job.v + tile, *b = job.u + vector * next;
  CK_NO_UNROLL
  for (int j = 0; j < tx; ++j, a += job.depth * ty * pitch, b += job.depth * ty * w) {
    Vector<T> acc[ty][NT][NV];
    CK_UNROLL
    for (int i = 0; i < ty; ++i) CK_UNROLL
    for (int n = 0; n < NT; ++n) CK_UNROLL
    for (int v = 0; v < NV; ++v) acc[i][n][v] = Vector<T>{};
    const T *x = a, *y = b, *y1 = b + next;
    CK_NO_UNROLL
    for (int64_t k = j + 1 < tx ? job.depth : job.far_depth; k > 0; --k, x += ty * pitch, y += ty * w, y1 += ty * w) {
      CK_UNROLL
      for (int i = 0; i < ty; ++i) {
        Vector<T> u[NV];
        u[0] = load<T>(y + i * w);
        keep(u[0]);  // or it is loaded anew for every tile
        if constexpr (NV > 1) {
          u[1] = load<T>(y1 + i * w);
          keep(u[1]);
        }
        CK_UNROLL
        for (int n = 0; n < NT; ++n) {
          const Vector<T> s = splat<T>(x[i * pitch + n]);
          CK_UNROLL
          for (int v = 0; v < NV; ++v) acc[i][n][v] += s * u[v];
        }
      }
    }
    CK_UNROLL
    for (int n = 0; n < NT; ++n) CK_UNROLL
    for (int v = 0; v < NV; ++v) {
      Vector<T> in[ty], out[my];
      CK_UNROLL
      for (int i = 0; i < ty; ++i) in[i] = acc[i][n][v];
      multiply_output<T, Y>(in, out);
      CK_UNROLL
      for (int i = 0; i < my; ++i) half[n][v][i][j] = out[i];
    }
  }
  const Vector<T> zero{}, lo = splat<T>(job.lo), hi = splat<T>(job.hi);
  Vector<T> bias[NV], taint[NV][mx] = {};  // of several chains, not to wait for one
  CK_UNROLL
  for (int v = 0; v < NV; ++v) bias[v] = job.bias ? load<T>(job.bias + (vector + v) * w) : zero;
  for (int n = 0; n < NT && tile + n < job.tiles; ++n) {
    const int64_t x = (tile + n) * mx;
    T* to = job.out + x * job.column + vector * w;
    for (int64_t i = 0; i < my && i < job.rows; ++i, to += job.row) {
      Vector<T> y[NV][mx];
      CK_UNROLL
      for (int v = 0; v < NV; ++v) {
        Vector<T> in[tx];
        CK_UNROLL
        for (int j = 0; j < tx; ++j) in[j] = half[n][v][i][j];
        multiply_output<T, X>(in, y[v]);
        CK_UNROLL
        for (int j = 0; j < mx; ++j) {
          y[v][j] += bias[v];
          taint[v][j] += y[v][j] * zero;
          if (job.clamp) y[v][j] = clamp<T>(y[v][j], lo, hi);
        }
      }
      CK_UNROLL
      for (int j = 0; j < mx; ++j) {
        if (x + j < job.columns) CK_UNROLL
        for (int v = 0; v < NV; ++v) store<T>(to + j * job.column + v * w, y[v][j]);
      }
    }
  }
  CK_UNROLL
  for (int v = 0; v < NV; ++v) CK_UNROLL
  for (int j = 0; j < mx; ++j) *nothing += taint[v][j];
}

// A line of tiles. Where all of U stays in L1 outputs are done pixel by pixel, two vectors at a time, otherwise vector
// by vector for the whole line.
template <class T, class Y, class X>
bool few_line(const WinogradFew<T>& job) {
  constexpr int w = lanes<T>, registers = CK_REGISTERS;
  constexpr int pair = registers >= 32 ? 2 : 1, many = 2 * pair;
  constexpr int64_t most = 32 << 10;
  Vector<T> nothing{};
  int64_t paired = 0;
  if (Y::t * X::t * job.depth * job.vectors * int64_t{sizeof(Vector<T>)} <= most) {
    paired = job.vectors & ~int64_t{1};
    for (int64_t tile = 0; tile < job.tiles; tile += pair)
      for (int64_t v = 0; v < paired; v += 2) few_tiles<T, Y, X, 2, pair>(job, v, tile, &nothing);
  }
  for (int64_t v = paired; v < job.vectors; ++v)
    for (int64_t tile = 0; tile < job.tiles; tile += many) few_tiles<T, Y, X, 1, many>(job, v, tile, &nothing);
  bool finite = true;
  for (int l = 0; l < w; ++l) finite &= nothing[l] == 0;
  return finite;
}

}  // namespace CK_ISA
}  // namespace convkern
