// The C interface of batch normalisation. Over the values x of a channel, `count` of them, with w weight and b bias:
//   training   mean = sum x / count,  var = sum (x - mean)^2 / count;   otherwise both are the running ones
//   y  = (x - mean) invstd w + b,  invstd = 1 / sqrt(var + eps)
//   db = sum g,  dw = sum g (x - mean) invstd,  dx = w invstd (g - [training] (db + dw (x - mean) invstd) / count)
// Settings and sums are double. Does not know layouts or threads: algo/channels.h does.
#include <math.h>

#include <new>
#include <vector>

#include "algo/channels.h"
#include "algo/with_kernels.h"

namespace convkern {
namespace {

using Doubles = std::vector<double>;

// The second moment is about the mean that the first pass found, rounded, and then corrected.
template <class T>
ck_status statistics(const Kernels<T>& kernels, const ck_channels& s, const T* x, double* mean, double* variance) {
  const double count = static_cast<double>(std::max<int64_t>(1, s.n * s.inner));
  std::vector<T> about(static_cast<size_t>(s.c), T(0));
  ck_status status = moments<T>(kernels, s, x, nullptr, about.data(), mean, variance);
  for (int64_t c = 0; c < s.c; ++c) about[c] = static_cast<T>(mean[c] / count);
  if (status == CK_OK) status = moments<T>(kernels, s, x, nullptr, about.data(), mean, variance);
  for (int64_t c = 0; c < s.c; ++c) {
    const double offset = mean[c] / count;
    const double v = variance[c] / count - offset * offset;
    mean[c] = static_cast<double>(about[c]) + offset;
    variance[c] = v < 0 ? 0 : v;  // NaN stays
  }
  return status;
}

template <class T>
ck_status forward(const Kernels<T>& kernels, const ck_channels& s, const ck_batch_norm& job) {
  const size_t c = static_cast<size_t>(s.c);
  Doubles mean(c), variance(c);
  const T* x = static_cast<const T*>(job.x);
  if (job.training) {
    const ck_status status = statistics<T>(kernels, s, x, mean.data(), variance.data());
    if (status != CK_OK) return status;
    const double count = static_cast<double>(s.n * s.inner);
    for (size_t i = 0; job.running_mean && i < c; ++i) {
      job.running_mean[i] += job.momentum * (mean[i] - job.running_mean[i]);
      job.running_var[i] += job.momentum * (variance[i] * (count / (count - 1)) - job.running_var[i]);
    }
  } else {
    std::copy(job.running_mean, job.running_mean + c, mean.begin());
    std::copy(job.running_var, job.running_var + c, variance.begin());
  }
  std::vector<T> scale(c), shift(c);
  for (size_t i = 0; i < c; ++i) {
    const double invstd = 1 / sqrt(variance[i] + job.eps), factor = (job.weight ? job.weight[i] : 1) * invstd;
    scale[i] = static_cast<T>(factor);
    shift[i] = static_cast<T>((job.bias ? job.bias[i] : 0) - mean[i] * factor);
    static_cast<T*>(job.mean)[i] = static_cast<T>(mean[i]);
    static_cast<T*>(job.invstd)[i] = static_cast<T>(invstd);
  }
  affine<T>(kernels, s, x, nullptr, static_cast<T*>(job.y), scale.data(), nullptr, shift.data());
  return CK_OK;
}

template <class T>
ck_status backward(const Kernels<T>& kernels, const ck_channels& s, const ck_batch_norm_grad& job) {
  const size_t c = static_cast<size_t>(s.c);
  Doubles total(c), products(c);
  std::vector<T> mean(c), a(c), b(c), d(c);
  const T *x = static_cast<const T*>(job.x), *g = static_cast<const T*>(job.grad);
  for (size_t i = 0; i < c; ++i) mean[i] = static_cast<T>(job.mean[i]);
  const ck_status status = moments<T>(kernels, s, x, g, mean.data(), total.data(), products.data());
  if (status != CK_OK) return status;
  const double count = static_cast<double>(std::max<int64_t>(1, s.n * s.inner));
  for (size_t i = 0; i < c; ++i) {
    const double invstd = job.invstd[i], scale = (job.weight ? job.weight[i] : 1) * invstd;
    const double slope = job.training ? -scale * invstd * invstd * products[i] / count : 0;
    const double level = (job.training ? -scale * total[i] / count : 0) - slope * static_cast<double>(mean[i]);
    a[i] = static_cast<T>(slope), b[i] = static_cast<T>(scale), d[i] = static_cast<T>(level);
    static_cast<T*>(job.dweight)[i] = static_cast<T>(products[i] * invstd);
    static_cast<T*>(job.dbias)[i] = static_cast<T>(total[i]);
  }
  affine<T>(kernels, s, x, g, static_cast<T*>(job.dx), a.data(), b.data(), d.data());
  return CK_OK;
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_batch_norm_run(const ck_channels* s, const char* isa, const ck_batch_norm* job) {
  try {
    return with_kernels(s->dtype, isa,
                        [&](const auto& kernels, auto value) { return forward<decltype(value)>(kernels, *s, *job); });
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
}

ck_status ck_batch_norm_grad_run(const ck_channels* s, const char* isa, const ck_batch_norm_grad* job) {
  try {
    return with_kernels(s->dtype, isa,
                        [&](const auto& kernels, auto value) { return backward<decltype(value)>(kernels, *s, *job); });
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
}

}  // extern "C"
