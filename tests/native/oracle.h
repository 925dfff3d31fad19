// The definition of convolution, written for the tests alone: it shares no line with csrc.
//   y[n,o,q] = sum_{c,t} x[n, c, source(q*stride + t*dilation - pad)] w[o,c,t]
// One walk over all (x, w, y) that meet gives every direction: y += x w, dx += y w, dw += y x. Dense double arrays in
// the order n c z y x and o c z y x. On small integers it is exact.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "convkern.h"

namespace oracle {

using Values = std::vector<double>;

// Walks from the first pixel to padded position i, one step at a time; -1 where it falls off into zeros.
inline int64_t source(int mode, int64_t i, int64_t n) {
  int64_t at = 0, step = i < 0 ? -1 : 1;
  for (int64_t left = std::llabs(i); left > 0; --left) {
    int64_t next = at + step;
    if (next < 0 || next >= n) {
      if (mode == CK_PAD_ZEROS) return -1;
      if (mode == CK_PAD_REPLICATE) return at;
      if (mode == CK_PAD_CIRCULAR) next = next < 0 ? n - 1 : 0;
      if (mode == CK_PAD_REFLECT || mode == CK_PAD_SYMMETRIC) step = -step;
      if (mode == CK_PAD_REFLECT) next = n == 1 ? at : at + step;
      if (mode == CK_PAD_SYMMETRIC) next = at;
    }
    at = next;
  }
  return at;
}

inline int64_t volume(const int64_t (&extent)[CK_MAX_SPATIAL]) { return extent[0] * extent[1] * extent[2]; }
inline int64_t x_size(const ck_spec& s) { return s.n * s.ci * volume(s.in); }
inline int64_t w_size(const ck_spec& s) { return s.co * (s.ci / s.groups) * volume(s.kernel); }
inline int64_t y_size(const ck_spec& s) { return s.n * s.co * volume(s.out); }

// Calls f(x, w, y) with the three flat positions of every product.
template <class F>
void each_product(const ck_spec& s, F&& f) {
  std::vector<int64_t> from[CK_MAX_SPATIAL];  // [q * kernel + t]
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    for (int64_t q = 0; q < s.out[a]; ++q)
      for (int64_t t = 0; t < s.kernel[a]; ++t)
        from[a].push_back(source(s.pad_mode, q * s.stride[a] + t * s.dilation[a] - s.pad[a], s.in[a]));
  const int64_t inner = s.ci / s.groups, outer = s.co / s.groups;
  const auto pixel = [](const int64_t (&extent)[CK_MAX_SPATIAL], const int64_t (&i)[CK_MAX_SPATIAL]) {
    return (i[0] * extent[1] + i[1]) * extent[2] + i[2];
  };
  int64_t q[3], t[3], i[3];
  for (q[0] = 0; q[0] < s.out[0]; ++q[0])
    for (q[1] = 0; q[1] < s.out[1]; ++q[1])
      for (q[2] = 0; q[2] < s.out[2]; ++q[2])
        for (t[0] = 0; t[0] < s.kernel[0]; ++t[0])
          for (t[1] = 0; t[1] < s.kernel[1]; ++t[1])
            for (t[2] = 0; t[2] < s.kernel[2]; ++t[2]) {
              for (int a = 0; a < CK_MAX_SPATIAL; ++a) i[a] = from[a][q[a] * s.kernel[a] + t[a]];
              if (i[0] < 0 || i[1] < 0 || i[2] < 0) continue;
              const int64_t x = pixel(s.in, i), w = pixel(s.kernel, t), y = pixel(s.out, q);
              for (int64_t n = 0; n < s.n; ++n)
                for (int64_t o = 0; o < s.co; ++o)
                  for (int64_t c = 0; c < inner; ++c)
                    f((n * s.ci + o / outer * inner + c) * volume(s.in) + x, (o * inner + c) * volume(s.kernel) + w,
                      (n * s.co + o) * volume(s.out) + y);
            }
}

// What the direction's image, kernel and result are (convkern.h), as sizes.
struct Sizes {
  int64_t image, kernel, result;
};
inline Sizes sizes(const ck_spec& s) {
  if (s.direction == CK_FORWARD) return {x_size(s), w_size(s), y_size(s)};
  if (s.direction == CK_GRAD_INPUT) return {y_size(s), w_size(s), x_size(s)};
  return {x_size(s), y_size(s), w_size(s)};
}

// Calls f(image, kernel, result) likewise.
template <class F>
void each_term(const ck_spec& s, F&& f) {
  each_product(s, [&](int64_t x, int64_t w, int64_t y) {
    if (s.direction == CK_FORWARD)
      f(x, w, y);
    else if (s.direction == CK_GRAD_INPUT)
      f(y, w, x);
    else
      f(x, y, w);
  });
}

inline Values sums(const ck_spec& s, const Values& image, const Values& kernel) {
  Values result(sizes(s).result);
  each_term(s, [&](int64_t i, int64_t k, int64_t r) { result[r] += image[i] * kernel[k]; });
  return result;
}

}  // namespace oracle
