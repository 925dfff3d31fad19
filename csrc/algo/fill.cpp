// Everything but the sums: result = clamp(bias + residual), for outputs that no tap reaches.
#include <algorithm>

#include "algo/algorithms.h"
#include "runtime/pool.h"

namespace convkern {

template <class T>
void fill_with_bias(const ck_spec& spec, const ck_operands& o) {
  const bool forward = spec.direction == CK_FORWARD;
  const int64_t channels = forward ? spec.co : spec.ci;
  const int64_t* extent = forward ? spec.out : spec.in;
  const T* bias = static_cast<const T*>(o.bias);
  const T lo = static_cast<T>(spec.lo), hi = static_cast<T>(spec.hi);
  const int64_t lines = spec.n * extent[0] * extent[1];
  const auto line_of = [&](const ck_array& a, int64_t line) {
    const int64_t y = line % extent[1], z = line / extent[1] % extent[0], n = line / (extent[1] * extent[0]);
    return static_cast<T*>(a.data) + n * a.stride[0] + z * a.stride[2] + y * a.stride[3];
  };
  const ptrdiff_t channel = o.result.stride[1], x_step = o.result.stride[4];
  const auto limited = [&](T value) { return !spec.clamp ? value : value < lo ? lo : value > hi ? hi : value; };
  const int threads = lines * extent[2] * channels > 16384 ? num_threads() : 1;
  parallel_for(lines, threads, [&](int64_t line, int) {
    T* const to = line_of(o.result, line);
    if (o.residual.data) {
      const T* extra = line_of(o.residual, line);
      const auto put = [&](int64_t c, int64_t x) {
        const T value = (bias ? bias[c] : T(0)) + extra[c * o.residual.stride[1] + x * o.residual.stride[4]];
        to[c * channel + x * x_step] = limited(value);
      };
      const bool pixels = channel == 1;  // one after the other; else planes
      for (int64_t i = 0; i < (pixels ? extent[2] : channels); ++i)
        for (int64_t k = 0; k < (pixels ? channels : extent[2]); ++k) pixels ? put(k, i) : put(i, k);
    } else if (!bias && channel == 1 && x_step == channels) {
      std::fill_n(to, extent[2] * channels, limited(T(0)));
    } else if (channel == 1) {
      for (int64_t c = 0; c < channels; ++c) to[c] = limited(bias ? bias[c] : T(0));
      for (int64_t x = 1; x < extent[2]; ++x) std::copy_n(to, channels, to + x * x_step);
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        const T value = limited(bias ? bias[c] : T(0));
        for (int64_t x = 0; x < extent[2]; ++x) to[c * channel + x * x_step] = value;
      }
    }
  });
}
template void fill_with_bias<float>(const ck_spec&, const ck_operands&);
template void fill_with_bias<double>(const ck_spec&, const ck_operands&);

}  // namespace convkern
