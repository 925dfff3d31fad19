// Moving matrices between strides and panels.
//   pack:   panel[i][j] = source(i, j), zero-filled to the panel's width
//   store:  out(i, j)   = clamp(c[i][j] + residual(i, j))
// Rows that are contiguous are copied; columns that are contiguous go through transposes in registers; anything else
// is read element by element. Knows no convolution: whoever calls knows what i and j are.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace convkern {
namespace CK_ISA {

template <class T>
void pack(MatrixView<const T> source, int64_t rows, int64_t columns, T* panel, int64_t width) {
  constexpr int w = lanes<T>;
  if (source.column == 1) {
    if (source.row == columns && columns == width) columns = width = rows * columns, rows = 1;  // one run
    for (int64_t i = 0; i < rows; ++i) {
      const T* from = source.data + i * source.row;
      T* to = panel + i * width;
      int64_t j = 0;
      for (; j + 4 * w <= columns; j += 4 * w) {
        Vector<T> v[4];
        CK_UNROLL
        for (int i = 0; i < 4; ++i) v[i] = load<T>(from + j + i * w);
        CK_UNROLL
        for (int i = 0; i < 4; ++i) store<T>(to + j + i * w, v[i]);
      }
      for (; j + w <= columns; j += w) store<T>(to + j, load<T>(from + j));
      for (; j < columns; ++j) to[j] = from[j];
      for (; j < width; ++j) to[j] = 0;
    }
    return;
  }
  int64_t j = 0;
  if (source.row == 1) {
    for (; j + w <= columns; j += w) {
      int64_t i = 0;
      for (; i + w <= rows; i += w) {
        Vector<T> block[w];
        CK_UNROLL
        for (int l = 0; l < w; ++l) block[l] = load<T>(source.data + i + (j + l) * source.column);
        transpose<T>(block);
        CK_UNROLL
        for (int l = 0; l < w; ++l) store<T>(panel + (i + l) * width + j, block[l]);
      }
      for (; i < rows; ++i)
        for (int l = 0; l < w; ++l) panel[i * width + j + l] = source.data[i + (j + l) * source.column];
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = source.data + i * source.row;
    T* to = panel + i * width;
    int64_t l = j;
    for (; l < columns; ++l) to[l] = from[l * source.column];
    for (; l < width; ++l) to[l] = 0;
  }
}

template <class T>
void store_view(const T* c, int64_t ldc, int64_t rows, int64_t columns, MatrixView<T> out, MatrixView<const T> residual,
                bool limited, T lo, T hi) {
  constexpr int w = lanes<T>;
  const bool add = residual.data != nullptr, apart = c != out.data;
  const Vector<T> vlo = splat<T>(lo), vhi = splat<T>(hi);
  const auto scalar = [&](int64_t i, int64_t j) {
    T x = c[i * ldc + j];
    if (add) x += residual.data[i * residual.row + j * residual.column];
    out.data[i * out.row + j * out.column] = limited ? clamp<T>(x, lo, hi) : x;
  };
  const auto vector = [&](Vector<T> x, const T* extra, T* to) {
    if (add) x += load<T>(extra);
    if (limited) x = clamp<T>(x, vlo, vhi);
    store<T>(to, x);
  };
  if (out.column == 1 && (!add || residual.column == 1)) {
    for (int64_t i = 0; i < rows; ++i) {
      int64_t j = 0;
      for (; j + w <= columns; j += w)
        vector(load<T>(c + i * ldc + j), residual.data + i * residual.row + j, out.data + i * out.row + j);
      if (j < columns && apart && columns >= w) {  // the last lanes once more with some of those before them
        j = columns - w;
        vector(load<T>(c + i * ldc + j), residual.data + i * residual.row + j, out.data + i * out.row + j);
        continue;
      }
      for (; j < columns; ++j) scalar(i, j);
    }
  } else if (out.row == 1 && (!add || residual.row == 1)) {
    int64_t i = 0;
    for (; i + w <= rows; i += w) {
      int64_t j = 0;
      for (; j + w <= columns; j += w) {
        Vector<T> block[w];
        CK_UNROLL
        for (int l = 0; l < w; ++l) block[l] = load<T>(c + (i + l) * ldc + j);
        transpose<T>(block);
        CK_UNROLL
        for (int l = 0; l < w; ++l)
          vector(block[l], residual.data + i + (j + l) * residual.column, out.data + i + (j + l) * out.column);
      }
      for (; j < columns; ++j)
        for (int l = 0; l < w; ++l) scalar(i + l, j);
    }
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t l = i; l < rows; ++l) scalar(l, j);
  } else {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) scalar(i, j);
  }
}

}  // namespace CK_ISA
}  // namespace convkern
