// The C interface of optimizers: all arrays of a step are cut into pieces, and the pieces shared out to the threads in
// one parallel region. What a piece computes depends on the sizes alone, and sums are added in the order of the pieces.
#include <algorithm>
#include <vector>

#include "algo/with_kernels.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int64_t piece = 16384;  // elements: with gradient and state some 256 KB, a share of the L2 cache

// f(number of the piece, array, first element, elements) for the pieces of all arrays.
template <class F>
ck_status each_piece(int64_t count, const ck_update* arrays, F&& f) {
  try {
    std::vector<int64_t> first(static_cast<size_t>(count) + 1, 0);  // an array's first piece
    int64_t elements = 0;
    for (int64_t i = 0; i < count; ++i) {
      first[i + 1] = first[i] + (arrays[i].count + piece - 1) / piece;
      elements += arrays[i].count;
    }
    const int threads = elements < 2 * piece ? 1 : num_threads();
    const int64_t pieces = first[count], tasks = std::min<int64_t>(pieces, 16 * threads);
    parallel_for(tasks, threads, [&](int64_t task, int) {
      const int64_t begin = pieces * task / tasks, end = pieces * (task + 1) / tasks;
      int64_t array = std::upper_bound(first.begin(), first.end(), begin) - first.begin() - 1;
      for (int64_t i = begin; i < end; ++i) {
        while (i >= first[array + 1]) ++array;
        const int64_t at = (i - first[array]) * piece;
        f(i, arrays[array], at, std::min(piece, arrays[array].count - at));
      }
    });
    return CK_OK;
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
}

template <class T>
T* at(void* data, int64_t begin) {
  return data ? static_cast<T*>(data) + begin : nullptr;
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_update_run(int dtype, const char* isa, int rule, const ck_update_settings* s, int64_t count,
                        const ck_update* arrays) {
  if (rule < 0 || rule >= update_rules) return CK_UNSUPPORTED;
  return with_kernels(dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const auto of = [](double setting) { return static_cast<T>(setting); };
    const UpdateSettings<T> settings{of(s->rate), of(s->decay), of(s->keep), of(s->momentum), of(s->gain),
                                     of(s->fade), of(s->add),   of(s->root), of(s->eps),      s->nesterov != 0};
    return each_piece(count, arrays, [&](int64_t, const ck_update& a, int64_t begin, int64_t size) {
      T* const state[] = {at<T>(a.state[0], begin), at<T>(a.state[1], begin)};
      kernels.update.run[rule](settings, at<T>(a.parameter, begin), at<T>(a.gradient, begin), state, size);
    });
  });
}

ck_status ck_gradient_squares(int dtype, const char* isa, int64_t count, const ck_update* arrays, double* sum) {
  return with_kernels(dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    try {
      int64_t pieces = 0;
      for (int64_t i = 0; i < count; ++i) pieces += (arrays[i].count + piece - 1) / piece;
      std::vector<double> sums(static_cast<size_t>(pieces), 0.0);
      const ck_status status =
          each_piece(count, arrays, [&](int64_t number, const ck_update& a, int64_t begin, int64_t size) {
            sums[number] = kernels.update.squares(at<T>(a.gradient, begin), size);
          });
      *sum = 0;
      for (const double part : sums) *sum += part;
      return status;
    } catch (const std::bad_alloc&) {
      return CK_OUT_OF_MEMORY;
    }
  });
}

ck_status ck_gradient_clip(int dtype, const char* isa, int op, int64_t count, const ck_update* arrays, double bound) {
  if (op != CK_CLIP_SCALE && op != CK_CLIP_LIMIT) return CK_UNSUPPORTED;
  return with_kernels(dtype, isa, [&](const auto& kernels, auto value) {
    using T = decltype(value);
    const auto run = op == CK_CLIP_SCALE ? kernels.update.scale : kernels.update.limit;
    return each_piece(count, arrays, [&](int64_t, const ck_update& a, int64_t begin, int64_t size) {
      run(at<T>(a.gradient, begin), size, static_cast<T>(bound));
    });
  });
}

}  // extern "C"
