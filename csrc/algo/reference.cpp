// The oracle: the definition in plain loops, one double sum per output.
//   result = clamp(bias + sum_{c,t} image[pad(q*stride + t*dilation - pad)] * kernel[c,t] + residual)
#include <stdio.h>

#include "algo/algorithms.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

template <class T>
T epilogue(const ck_spec& spec, double sum) {
  if (spec.clamp && sum < spec.lo) sum = spec.lo;
  if (spec.clamp && sum > spec.hi) sum = spec.hi;
  return static_cast<T>(sum);
}

template <class T>
class Reference final : public Algorithm {
 public:
  explicit Reference(const ck_spec& spec) : spec_(spec) {}

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(packed_bytes())) return CK_OUT_OF_MEMORY;
    packed_view_ = canonical_operands(spec_).kernel;
    packed_view_.data = packed_.data;
    T* to = reinterpret_cast<T*>(packed_.data);
    const int64_t extent[5] = {kernel_extent(0), kernel_extent(1), kernel_extent(2), kernel_extent(3),
                               kernel_extent(4)};
    const T* from = static_cast<const T*>(kernel.data);
    int64_t i[5];
    for (i[0] = 0; i[0] < extent[0]; ++i[0])
      for (i[1] = 0; i[1] < extent[1]; ++i[1])
        for (i[2] = 0; i[2] < extent[2]; ++i[2])
          for (i[3] = 0; i[3] < extent[3]; ++i[3])
            for (i[4] = 0; i[4] < extent[4]; ++i[4]) {
              ptrdiff_t source = 0, target = 0;
              for (int d = 0; d < 5; ++d) {
                source += i[d] * kernel.stride[d];
                target += i[d] * packed_view_.stride[d];
              }
              to[target] = from[source];
            }
    return CK_OK;
  }

  ck_status run(const ck_operands& given) const override {
    ck_operands o = given;
    if (!o.kernel.data) o.kernel = packed_view_;
    if (phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      parallel_for(p.groups * p.batch * p.outputs, num_threads(), [&](int64_t task, int) {
        plane(p, o, task / (p.batch * p.outputs), task / p.outputs % p.batch, task % p.outputs);
      });
    }
    return CK_OK;
  }

  int64_t workspace() const override { return 0; }
  int64_t packed_bytes() const override {
    int64_t bytes = sizeof(T);
    for (int d = 0; d < 5; ++d) bytes *= kernel_extent(d);
    return bytes;
  }
  void detail(char* text, size_t size) const override { snprintf(text, size, "plain loops, double sums"); }

 private:
  int64_t kernel_extent(int d) const {
    if (spec_.direction == CK_GRAD_WEIGHT) return d == 0 ? spec_.n : d == 1 ? spec_.co : spec_.out[d - 2];
    return d == 0 ? spec_.co : d == 1 ? spec_.ci / spec_.groups : spec_.kernel[d - 2];
  }

  void plane(const Problem& p, const ck_operands& o, int64_t g, int64_t b, int64_t n) const {
    const T* image = static_cast<const T*>(o.image.data) + p.image.offset + g * p.image.group + b * p.image.batch;
    const T* kernel = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group + n * p.kernel.output;
    const T* bias = p.bias_per_output ? static_cast<const T*>(o.bias) : nullptr;
    const auto at = [&](const Problem::Result& view, int64_t z, int64_t y, int64_t x) {
      return view.offset + g * view.group + b * view.batch + n * view.output + z * view.axis[0] + y * view.axis[1] +
             x * view.axis[2];
    };
    for (int64_t z = 0; z < p.axis[0].out; ++z)
      for (int64_t y = 0; y < p.axis[1].out; ++y)
        for (int64_t x = 0; x < p.axis[2].out; ++x) {
          double sum = bias ? static_cast<double>(bias[g * p.outputs + n]) : 0.0;
          sum += dot(p, image, kernel, z, y, x);
          if (o.residual.data) sum += static_cast<const T*>(o.residual.data)[at(p.residual, z, y, x)];
          static_cast<T*>(o.result.data)[at(p.result, z, y, x)] = epilogue<T>(spec_, sum);
        }
  }

  static double dot(const Problem& p, const T* image, const T* kernel, int64_t z, int64_t y, int64_t x) {
    const auto index = [&](int a, int64_t q, int64_t t) {
      const Axis& axis = p.axis[a];
      return pad_index(p.pad_mode, q * axis.stride + t * axis.dilation - axis.pad, axis.in);
    };
    double sum = 0;
    for (int64_t c = 0; c < p.channels; ++c)
      for (int64_t tz = 0; tz < p.axis[0].taps; ++tz) {
        const int64_t iz = index(0, z, tz);
        for (int64_t ty = 0; ty < p.axis[1].taps; ++ty) {
          const int64_t iy = index(1, y, ty);
          const T* row = image + c * p.image.channel + iz * p.image.axis[0] + iy * p.image.axis[1];
          const T* weight = kernel + c * p.kernel.channel + tz * p.kernel.axis[0] + ty * p.kernel.axis[1];
          for (int64_t tx = 0; tx < p.axis[2].taps; ++tx) {
            const int64_t ix = index(2, x, tx);
            const bool inside = iz >= 0 && iy >= 0 && ix >= 0;
            sum += (inside ? static_cast<double>(row[ix * p.image.axis[2]]) : 0.0) *
                   static_cast<double>(weight[tx * p.kernel.axis[2]]);
          }
        }
      }
    return sum;
  }

  ck_spec spec_;
  Buffer packed_;
  ck_array packed_view_ = {};
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_reference(const ck_spec& spec, const Kernels<T>&, const char**) {
  return std::make_unique<Reference<T>>(spec);
}
template std::unique_ptr<Algorithm> make_reference(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_reference(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
