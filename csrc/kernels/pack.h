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
    int64_t i = 0;
    if (columns < w && width == columns && source.row > 0) {  // what a vector has too much, the next rows write over
      const int64_t end = (rows - 1) * source.row + columns;
      for (; i * source.row + w <= end && i * width + w <= rows * width; ++i)
        store<T>(panel + i * width, load<T>(source.data + i * source.row));
    }
    for (; i < rows; ++i) {
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

// log2(turns) rounds of perfect shuffles over N vectors as one sequence: each turns the bits of an element's index left
// by one. So `lanes` turns make columns of `lanes` rows of N elements, and N turns make rows of N columns again.
template <class T, int N>
CK_INLINE void shuffle(Vector<T> (&r)[N], int turns) {
  CK_UNROLL
  for (int round = 1; round < turns; round *= 2) {
    Vector<T> s[N];
    CK_UNROLL
    for (int i = 0; i < N / 2; ++i) {
      s[2 * i] = shuffle<T, Perfect<T, false>>(r[i], r[i + N / 2]);
      s[2 * i + 1] = shuffle<T, Perfect<T, true>>(r[i], r[i + N / 2]);
    }
    CK_UNROLL
    for (int i = 0; i < N; ++i) r[i] = s[i];
  }
}

// One store: where the sums are, where they go, and what is done to them on the way.
template <class T>
struct StoreView {
  static constexpr int w = lanes<T>;
  const T* c;
  int64_t ldc, rows, columns;
  MatrixView<T> out;
  MatrixView<const T> residual;
  bool limited;
  T lo, hi;
  bool add, apart;

  CK_INLINE void scalar(int64_t i, int64_t j) const {
    T x = c[i * ldc + j];
    if (add) x += residual.data[i * residual.row + j * residual.column];
    out.data[i * out.row + j * out.column] = limited ? clamp<T>(x, lo, hi) : x;
  }
  // The vector that begins at (i, j), along whichever of the two is contiguous.
  CK_INLINE void vector(Vector<T> x, int64_t i, int64_t j) const {
    if (add) x += load<T>(residual.data + i * residual.row + j * residual.column);
    if (limited) x = clamp<T>(x, splat<T>(lo), splat<T>(hi));
    store<T>(out.data + i * out.row + j * out.column, x);
  }

  // Fewer columns than lanes, contiguous.
  void short_row(int64_t i) const {
    const T* from = c + i * ldc;
    T* to = out.data + i * out.row;
    if (add || limited || !apart) {
      for (int64_t j = 0; j < columns; ++j) scalar(i, j);
      return;
    }
    int64_t j = 0;
    CK_UNROLL
    for (int n = w / 2; n > 0; n /= 2)
      if (columns & n) __builtin_memcpy(to + j, from + j, n * sizeof(T)), j += n;
  }

  // w columns from j on of N rows from i on, where rows lie side by side in `out`.
  template <int N>
  void few_rows(int64_t i, int64_t j) const {
    if constexpr (N > 1) {
      const bool dense = out.column == N && (!add || residual.column == N);
      if (dense || !add) {
        Vector<T> r[N];
        CK_UNROLL
        for (int n = 0; n < N; ++n) r[n] = load<T>(c + (i + n) * ldc + j);
        shuffle<T, N>(r, N);
        if (dense) {
          CK_UNROLL
          for (int n = 0; n < N; ++n) vector(r[n], i, j + n * (w / N));
          return;
        }
        T piece[N * w];
        CK_UNROLL
        for (int n = 0; n < N; ++n)
          store<T>(piece + n * w, limited ? clamp<T>(r[n], splat<T>(lo), splat<T>(hi)) : r[n]);
        CK_UNROLL
        for (int l = 0; l < w; ++l) __builtin_memcpy(out.data + i + (j + l) * out.column, piece + l * N, N * sizeof(T));
        return;
      }
    }
    for (int64_t n = 0; n < N; ++n)
      for (int64_t l = 0; l < w; ++l) scalar(i + n, j + l);
  }
  // N columns from j on of w rows from i on, where rows lie side by side in `out`.
  template <int N>
  void few_columns(int64_t i, int64_t j) const {
    if constexpr (N == 1) {
      for (int64_t l = 0; l < w; ++l) scalar(i + l, j);
    } else {
      const T* from = c + i * ldc + j;
      T piece[N * w];
      if (ldc != N) {
        CK_UNROLL
        for (int l = 0; l < w; ++l) __builtin_memcpy(piece + l * N, from + l * ldc, N * sizeof(T));
        from = piece;
      }
      Vector<T> r[N];
      CK_UNROLL
      for (int n = 0; n < N; ++n) r[n] = load<T>(from + n * w);
      shuffle<T, N>(r, w);
      CK_UNROLL
      for (int n = 0; n < N; ++n) vector(r[n], i, j + n);
    }
  }
  void square(int64_t i, int64_t j) const {
    Vector<T> block[w];
    CK_UNROLL
    for (int l = 0; l < w; ++l) block[l] = load<T>(c + (i + l) * ldc + j);
    transpose<T>(block);
    CK_UNROLL
    for (int l = 0; l < w; ++l) vector(block[l], i, j + l);
  }
  // Powers of two that make up what is left of fewer rows, or columns, than lanes.
  template <int N>
  void rest_of_rows(int64_t i, int64_t j) const {
    if ((rows - i) & N) few_rows<N>(i, j), i += N;
    if constexpr (N > 1) rest_of_rows<N / 2>(i, j);
  }
  template <int N>
  void rest_of_columns(int64_t i, int64_t j) const {
    if ((columns - j) & N) few_columns<N>(i, j), j += N;
    if constexpr (N > 1) rest_of_columns<N / 2>(i, j);
  }

  // Contiguous along j: the last lanes of a row once more with some of those before them, where that does no harm.
  void along_columns() const {
    for (int64_t i = 0; i < rows; ++i) {
      int64_t j = 0;
      for (; j + w <= columns; j += w) vector(load<T>(c + i * ldc + j), i, j);
      if (j == columns) continue;
      if (columns < w)
        short_row(i);
      else if (apart)
        vector(load<T>(c + i * ldc + columns - w), i, columns - w);
      else
        for (; j < columns; ++j) scalar(i, j);
    }
  }
  // Contiguous along i: a vector of columns at a time, so that no more than that many streams are written at once.
  void along_rows() const {
    int64_t j = 0;
    for (int64_t next_j; j + w <= columns; j = next_j) {
      int64_t i = 0;
      for (int64_t next; i + w <= rows; i = next) {
        square(i, j);
        next = i + w;
        if (next < rows && next + w > rows && apart) next = rows - w;
      }
      if (i < rows) rest_of_rows<w / 2>(i, j);
      next_j = j + w;
      if (next_j < columns && next_j + w > columns && apart) next_j = columns - w;
    }
    if (j == columns) return;
    int64_t i = 0;
    for (; i + w <= rows; i += w) rest_of_columns<w / 2>(i, j);
    for (; i < rows; ++i)
      for (int64_t l = j; l < columns; ++l) scalar(i, l);
  }
};

template <class T>
void store_view(const T* c, int64_t ldc, int64_t rows, int64_t columns, MatrixView<T> out, MatrixView<const T> residual,
                bool limited, T lo, T hi) {
  const bool add = residual.data != nullptr;
  const StoreView<T> view = {c, ldc, rows, columns, out, residual, limited, lo, hi, add, c != out.data};
  if (out.column == 1 && (!add || residual.column == 1)) {
    view.along_columns();
  } else if (out.row == 1 && (!add || residual.row == 1)) {
    view.along_rows();
  } else {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) view.scalar(i, j);
  }
}

}  // namespace CK_ISA
}  // namespace convkern
