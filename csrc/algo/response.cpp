// The C interface of local response normalisation: which rows, how many lanes at a time, and their scratch.
//   [n][c][inner]: a row is a channel, lanes are pixels;   [n][inner][c]: a row is a pixel, lanes are its channels
// The scratch has zeros around it, where neighbours are that do not exist. Knows no instruction set.
#include <string.h>

#include <algorithm>
#include <atomic>

#include "core/plan.h"
#include "runtime/arena.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int64_t block = 8192;  // elements of a block about: three arrays of scratch stay in L2

template <class T>
ck_status response(const Kernels<T>& kernels, const ck_channels& s, const T* x, const T* g, T* out, int64_t size,
                   double alpha, double beta, double k) {
  const int64_t elements = s.n * s.c * s.inner, w = kernels.lanes;
  if (elements == 0) return CK_OK;
  const bool last = s.channels_last != 0;
  const int64_t before = std::min(size / 2, s.c - 1), after = std::min((size - 1) / 2, s.c - 1);
  ResponseJob<T> job{};
  job.size = before + after + 1, job.before = before;
  job.alpha = static_cast<T>(alpha / static_cast<double>(size));
  job.beta = static_cast<T>(beta), job.k = static_cast<T>(k);
  const int64_t span = last ? s.n * s.inner : s.inner;  // of pixels that are cut into blocks
  const int64_t fit = std::max<int64_t>(1, block / s.c), pixels = last ? fit : (fit + w - 1) / w * w;
  const int64_t blocks = (span + pixels - 1) / pixels, units = last ? blocks : s.n * blocks;
  job.pitch = last ? 1 : pixels;
  job.scratch_step = last ? s.c + before + after : pixels;
  const int64_t margin = (before + after) * job.pitch, rows = last ? pixels : s.c;
  const int64_t scratch_size = 2 * margin + rows * job.scratch_step + w;
  const int threads = elements < 8192 ? 1 : num_threads();
  const int64_t tasks = std::min<int64_t>(units, 8 * threads);
  std::atomic<bool> failed{false};
  parallel_for(tasks, threads, [&](int64_t task, int) {
    ResponseJob<T> own = job;
    T** const arrays[] = {&own.squares, &own.inner, &own.scaled};
    for (int i = 0; i < (g ? 3 : 1); ++i) {
      T* memory = scratch_of<T>(i, scratch_size);
      if (!memory) return failed.store(true, std::memory_order_relaxed);
      std::fill(memory, memory + scratch_size, T(0));
      *arrays[i] = memory + margin;
    }
    for (int64_t unit = units * task / tasks; unit < units * (task + 1) / tasks; ++unit) {
      const int64_t first = unit % blocks * pixels, some = std::min(pixels, span - first);
      const int64_t at = last ? first * s.c : unit / blocks * s.c * s.inner + first;
      own.x = x + at, own.g = g ? g + at : nullptr, own.out = out + at;
      own.rows = last ? some : s.c, own.width = last ? s.c : some, own.step = last ? s.c : s.inner;
      kernels.element.response(own);
    }
    for (int i = 0; i < 3; ++i) scratch_release(i);
  });
  return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
}

}  // namespace
}  // namespace convkern

using namespace convkern;

extern "C" ck_status ck_response(const ck_channels* s, const char* isa, const void* x, const void* g, void* out,
                                 int64_t size, double alpha, double beta, double k) {
  const Kernels<float>* single = find_kernels<float>(isa);
  const Kernels<double>* twofold = find_kernels<double>(isa);
  if (!single || !twofold) return CK_UNSUPPORTED;
  if (s->dtype == CK_FLOAT32)
    return response(*single, *s, static_cast<const float*>(x), static_cast<const float*>(g), static_cast<float*>(out),
                    size, alpha, beta, k);
  return response(*twofold, *s, static_cast<const double*>(x), static_cast<const double*>(g), static_cast<double*>(out),
                  size, alpha, beta, k);
}
