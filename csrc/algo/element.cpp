// The C interface of the functions of elements and channels: arrays are cut into pieces, pieces shared out to threads.
// What a piece computes, and in which order sums are added, depends on the shapes alone.
#include "algo/channels.h"
#include "algo/with_kernels.h"

namespace convkern {
namespace {

template <class T>
ck_status unary(const Kernels<T>& kernels, int op, int64_t count, const T* source, const T* grad, T* out, T a, T b) {
  if (op < 0 || op >= unary_ops) return CK_UNSUPPORTED;
  const int threads = threads_for(count);
  const int64_t tasks = std::min<int64_t>(divide_up(count, piece), 8 * threads);
  parallel_for(tasks, threads, [&](int64_t task, int) {
    const int64_t begin = count * task / tasks, size = count * (task + 1) / tasks - begin;
    if (grad)
      kernels.element.gradient[op](grad + begin, source + begin, out + begin, size, a, b);
    else
      kernels.element.forward[op](source + begin, out + begin, size, a, b);
  });
  return CK_OK;
}

template <class T>
ck_status softmax(const Kernels<T>& kernels, const ck_channels& s, const T* x, const T* grad, T* out, bool logarithm) {
  const int64_t elements = s.n * s.c * s.inner;
  if (elements == 0) return CK_OK;
  const int threads = threads_for(elements);
  const int64_t columns = std::min<int64_t>(s.inner, 512), blocks = divide_up(s.inner, columns);
  const int64_t units = s.n * blocks, tasks = std::min<int64_t>(units, 8 * threads);
  parallel_for(tasks, threads, [&](int64_t task, int) {
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t first = unit % blocks * columns, at = unit / blocks * s.c * s.inner + first;
      const int64_t width = std::min(columns, s.inner - first);
      if (grad)
        kernels.element.softmax_gradient(grad + at, x + at, out + at, s.c, s.inner, width, logarithm);
      else
        kernels.element.softmax(x + at, out + at, s.c, s.inner, width, logarithm);
    }
  });
  return CK_OK;
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_unary(int dtype, const char* isa, int op, int64_t count, const void* source, const void* grad, void* out,
                   double a, double b) {
  return with_kernels(dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    return unary<T>(kernels, op, count, static_cast<const T*>(source), static_cast<const T*>(grad),
                    static_cast<T*>(out), static_cast<T>(a), static_cast<T>(b));
  });
}

ck_status ck_power(int dtype, const char* isa, int64_t count, const void* x, void* out, double p) {
  return with_kernels(dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const int threads = threads_for(count);
    const int64_t tasks = std::min<int64_t>(divide_up(count, piece), 8 * threads);
    parallel_for(tasks, threads, [&](int64_t task, int) {
      const int64_t begin = count * task / tasks, end = count * (task + 1) / tasks;
      kernels.element.power(static_cast<const T*>(x) + begin, static_cast<T*>(out) + begin, end - begin,
                            static_cast<T>(p));
    });
    return CK_OK;
  });
}

ck_status ck_prelu(const ck_channels* s, const char* isa, const void* x, const void* g, void* out, const void* a) {
  return with_kernels(s->dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const T *from = static_cast<const T*>(x), *grad = static_cast<const T*>(g);
    const int64_t factor = s->channels_last ? folded(s->c, kernels.lanes) : 1;
    const Repeated<T> slope(static_cast<const T*>(a), s->c, factor);
    each_piece(*s, factor, [&](int64_t at, int64_t rows, int64_t width, int64_t c) {
      kernels.element.prelu(from + at, grad ? grad + at : nullptr, static_cast<T*>(out) + at, rows, width,
                            s->channels_last != 0, slope + c);
    });
    return CK_OK;
  });
}

ck_status ck_moments(const ck_channels* s, const char* isa, const void* x, const void* g, const void* m, double* s0,
                     double* s1) {
  return with_kernels(s->dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    return moments<T>(kernels, *s, static_cast<const T*>(x), static_cast<const T*>(g), static_cast<const T*>(m), s0,
                      s1);
  });
}

ck_status ck_softmax(const ck_channels* s, const char* isa, const void* x, const void* grad, void* out, int logarithm) {
  return with_kernels(s->dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    return softmax<T>(kernels, *s, static_cast<const T*>(x), static_cast<const T*>(grad), static_cast<T*>(out),
                      logarithm != 0);
  });
}

}  // extern "C"
