// The C interface of the functions of elements and channels: arrays are cut into pieces, pieces shared out to threads.
// What a piece computes, and in which order sums are added, depends on the shapes alone.
#include <string.h>

#include <algorithm>

#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int64_t piece = 8192;  // elements a task takes at least

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int threads_for(int64_t elements) { return elements < 2 * piece ? 1 : num_threads(); }

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

// f(offset of the piece, rows, width, first channel) over pieces that have one setting each, or one a lane.
template <class F>
void each_piece(const ck_channels& s, F&& f) {
  const int64_t elements = s.n * s.c * s.inner;
  const int threads = threads_for(elements);
  if (s.channels_last) {
    const int64_t rows = s.n * s.inner, tasks = std::min<int64_t>({rows, divide_up(elements, piece), 8 * threads});
    parallel_for(tasks, threads, [&](int64_t task, int) {
      const int64_t begin = rows * task / tasks;
      f(begin * s.c, rows * (task + 1) / tasks - begin, s.c, int64_t{0});
    });
  } else {
    const int64_t planes = s.n * s.c, tasks = std::min<int64_t>({planes, divide_up(elements, piece), 8 * threads});
    parallel_for(tasks, threads, [&](int64_t task, int) {
      for (int64_t i = planes * task / tasks; i < planes * (task + 1) / tasks; ++i)
        f(i * s.inner, int64_t{1}, s.inner, i % s.c);
    });
  }
}

template <class T>
ck_status moments(const Kernels<T>& kernels, const ck_channels& s, const T* x, const T* g, const T* m, double* s0,
                  double* s1) {
  std::fill(s0, s0 + s.c, 0.0);
  std::fill(s1, s1 + s.c, 0.0);
  const int64_t elements = s.n * s.c * s.inner;
  if (elements == 0) return CK_OK;
  const int threads = threads_for(elements);
  if (!s.channels_last) {
    const int64_t tasks = std::min<int64_t>(s.c, 8 * threads);
    parallel_for(tasks, threads, [&](int64_t task, int) {
      for (int64_t c = s.c * task / tasks; c < s.c * (task + 1) / tasks; ++c)
        for (int64_t n = 0; n < s.n; ++n) {
          const int64_t at = (n * s.c + c) * s.inner;
          kernels.element.moments(x + at, g ? g + at : nullptr, 1, s.inner, false, m + c, s0 + c, s1 + c);
        }
    });
    return CK_OK;
  }
  const int64_t rows = s.n * s.inner,
                parts = std::min<int64_t>(64, divide_up(rows, std::max<int64_t>(64, piece / s.c)));
  double* sums = scratch_of<double>(0, parts * 2 * s.c);
  if (!sums) return CK_OUT_OF_MEMORY;
  parallel_for(parts, threads, [&](int64_t part, int) {
    double* own = sums + part * 2 * s.c;
    std::fill(own, own + 2 * s.c, 0.0);
    const int64_t begin = rows * part / parts, at = begin * s.c;
    kernels.element.moments(x + at, g ? g + at : nullptr, rows * (part + 1) / parts - begin, s.c, true, m, own,
                            own + s.c);
  });
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t c = 0; c < s.c; ++c) {
      s0[c] += sums[part * 2 * s.c + c];
      s1[c] += sums[(part * 2 + 1) * s.c + c];
    }
  scratch_release(0);
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

// f(kernels, a value of the dtype) for the dtype and ISA at hand.
template <class F>
ck_status with_kernels(int dtype, const char* isa, F&& f) {
  const Kernels<float>* single = find_kernels<float>(isa);
  const Kernels<double>* twofold = find_kernels<double>(isa);
  if (!single || !twofold) return CK_UNSUPPORTED;
  return dtype == CK_FLOAT32 ? f(*single, 0.0f) : f(*twofold, 0.0);
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
    parallel_for_in_place(tasks, threads, [&](int64_t task, int) {
      const int64_t begin = count * task / tasks, end = count * (task + 1) / tasks;
      kernels.element.power(static_cast<const T*>(x) + begin, static_cast<T*>(out) + begin, end - begin,
                            static_cast<T>(p));
    });
    return CK_OK;
  });
}

ck_status ck_affine(const ck_channels* s, const char* isa, const void* x, const void* g, void* out, const void* a,
                    const void* b, const void* d) {
  return with_kernels(s->dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const T *from = static_cast<const T*>(x), *more = static_cast<const T*>(g);
    const T *pa = static_cast<const T*>(a), *pb = static_cast<const T*>(b), *pd = static_cast<const T*>(d);
    each_piece(*s, [&](int64_t at, int64_t rows, int64_t width, int64_t c) {
      kernels.element.affine(from + at, more ? more + at : nullptr, static_cast<T*>(out) + at, rows, width,
                             s->channels_last != 0, pa + c, more ? pb + c : nullptr, pd + c);
    });
    return CK_OK;
  });
}

ck_status ck_prelu(const ck_channels* s, const char* isa, const void* x, const void* g, void* out, const void* a) {
  return with_kernels(s->dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const T *from = static_cast<const T*>(x), *grad = static_cast<const T*>(g);
    each_piece(*s, [&](int64_t at, int64_t rows, int64_t width, int64_t c) {
      kernels.element.prelu(from + at, grad ? grad + at : nullptr, static_cast<T*>(out) + at, rows, width,
                            s->channels_last != 0, static_cast<const T*>(a) + c);
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
