// Everything but the sums: result = clamp(bias + residual), for outputs that no tap reaches.
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
  const bool channels_inner = o.result.stride[1] == 1;
  const int threads = lines * extent[2] * channels > 16384 ? num_threads() : 1;
  parallel_for(lines, threads, [&](int64_t line, int) {
    T* to = line_of(o.result, line);
    const T* extra = o.residual.data ? line_of(o.residual, line) : nullptr;
    const auto put = [&](int64_t c, int64_t x) {
      T value = bias ? bias[c] : T(0);
      if (extra) value += extra[c * o.residual.stride[1] + x * o.residual.stride[4]];
      if (spec.clamp) value = value < lo ? lo : value > hi ? hi : value;
      to[c * o.result.stride[1] + x * o.result.stride[4]] = value;
    };
    if (channels_inner) {
      for (int64_t x = 0; x < extent[2]; ++x)
        for (int64_t c = 0; c < channels; ++c) put(c, x);
    } else {
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t x = 0; x < extent[2]; ++x) put(c, x);
    }
  });
}
template void fill_with_bias<float>(const ck_spec&, const ck_operands&);
template void fill_with_bias<double>(const ck_spec&, const ck_operands&);

}  // namespace convkern
