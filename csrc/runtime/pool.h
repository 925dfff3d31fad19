// Threads: how many, and parallel_for over one small persistent pool of the process.
// Knows nothing of convolution; the determinism of results is up to the body (a task's work must not depend on the
// worker).
#pragma once

#include <cstdint>
#include <type_traits>

#include "runtime/float_mode.h"

namespace convkern {

constexpr int kMaxThreads = 1024;

// CONVKERN_NUM_THREADS, then OMP_NUM_THREADS (first number of a list), else usable_cpus(). Read once.
int default_threads();

// What is wrong with CONVKERN_NUM_THREADS, or nullptr; default_threads() ignores the variable when something is.
const char* thread_environment_error();

// Threads that a parallel_for may use, the caller included. set_num_threads clamps to 1..kMaxThreads and is safe at any
// time: a loop that is running keeps the number it began with.
int num_threads();
void set_num_threads(int threads);

namespace detail {
using Task = void (*)(void* body, int64_t task, int worker);
void run_parallel(int64_t tasks, int max_threads, Task call, void* body) noexcept;
}  // namespace detail

// body(task, worker) for every task in [0, tasks), each once, with denormals flushed; returns when all are done.
// Each worker begins with a share of its own, in ascending order, the same one in every loop, so that it finds in its
// core's cache what the loop before left there; one that is done helps the others, a task at a time. worker is 0 in the
// calling thread and is below min(tasks, max_threads, num_threads()) in all; no two tasks that run at the same time
// share a worker number. Runs in the calling thread alone, as worker 0, when it is called from within a body or while
// another thread's loop holds the pool. The body must not throw and must not fork.
template <class Body>
void parallel_for(int64_t tasks, int max_threads, Body&& body) {
  if (tasks <= 1 || max_threads <= 1) {
    const FlushDenormals flush;
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  using Target = std::remove_reference_t<Body>;
  detail::run_parallel(
      tasks, max_threads, [](void* target, int64_t task, int worker) { (*static_cast<Target*>(target))(task, worker); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace convkern
