// The C interface of pooling: which driver serves a call, and moving values by indices (unpooling, gradients of max).
#include <atomic>

#include "algo/windows.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

template <class T>
ck_status run_pool(const ck_pool& pool, const char* isa, const ck_array& x, const ck_array& y, int64_t* indices) {
  const Kernels<T>* kernels = find_kernels<T>(isa);
  if (!kernels) return CK_UNSUPPORTED;
  try {
    const PoolCall<T> call(pool, *kernels, x, y, indices);
    const bool done = pool.channels_last ? pool_channels_last(call) : pool_planes(call);
    return done ? CK_OK : CK_OUT_OF_MEMORY;
  } catch (const std::bad_alloc&) {
    return CK_OUT_OF_MEMORY;
  }
}

// Planes, or with the channels inside some channels of a sample, are tasks: no two write to the same element.
template <class T>
ck_status scatter(int op, bool channels_last, int64_t n, int64_t c, int64_t to_size, int64_t from_size, T* to, T* from,
                  const int64_t* indices) {
  const int threads = n * c * std::max(to_size, from_size) < 32768 ? 1 : num_threads();
  const int64_t parts = channels_last ? std::min<int64_t>(divide_up(c, 16), std::max<int64_t>(1, 4 * threads / n)) : c;
  std::atomic<bool> outside{false};
  parallel_for(n * parts, threads, [&](int64_t task, int) {
    const int64_t part = task % parts, c0 = channels_last ? part * c / parts : 0;
    const int64_t width = channels_last ? (part + 1) * c / parts - c0 : 1, step = channels_last ? c : 1;
    const int64_t plane = channels_last ? task / parts * c : task;
    T* big = to + plane * to_size + c0;
    T* small = from + plane * from_size + c0;
    const int64_t* index = indices + plane * from_size + c0;
    if (op != CK_GATHER && width == step) std::fill(big, big + to_size * step, T(0));
    if (op != CK_GATHER && width != step)
      for (int64_t i = 0; i < to_size; ++i) std::fill(big + i * step, big + i * step + width, T(0));
    for (int64_t i = 0; i < from_size; ++i, small += step, index += step)
      for (int64_t l = 0; l < width; ++l) {
        const int64_t at = index[l];
        if (at < 0 || at >= to_size) {
          if (op != CK_SCATTER_ADD || at != -1) outside.store(true, std::memory_order_relaxed);
        } else if (op == CK_SCATTER_ADD) {
          big[at * step + l] += small[l];
        } else if (op == CK_SCATTER) {
          big[at * step + l] = small[l];
        } else {
          small[l] = big[at * step + l];
        }
      }
  });
  return outside.load() ? CK_INVALID : CK_OK;
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" {

ck_status ck_pool_run(const ck_pool* pool, const char* isa, const ck_array* x, const ck_array* y, int64_t* indices) {
  if (pool->n * pool->c * pool->axis[0].out * pool->axis[1].out * pool->axis[2].out == 0) return CK_OK;
  return pool->dtype == CK_FLOAT32 ? run_pool<float>(*pool, isa, *x, *y, indices)
                                   : run_pool<double>(*pool, isa, *x, *y, indices);
}

ck_status ck_scatter(int dtype, int op, int channels_last, int64_t n, int64_t c, int64_t to_size, int64_t from_size,
                     void* to, void* from, const int64_t* indices) {
  if (n * c == 0) return CK_OK;
  if (dtype == CK_FLOAT32)
    return scatter(op, channels_last != 0, n, c, to_size, from_size, static_cast<float*>(to), static_cast<float*>(from),
                   indices);
  return scatter(op, channels_last != 0, n, c, to_size, from_size, static_cast<double*>(to), static_cast<double*>(from),
                 indices);
}

}  // extern "C"
