// Whether a parallel loop does what it says: each task once, no worker number twice at a time, all done at the end.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "runtime/pool.h"

using Clock = std::chrono::steady_clock;

inline double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Runs a loop; false unless each task ran once, with a worker number in range that no other running task had.
inline bool loop_is_right(int64_t tasks, int threads, double task_microseconds = 0) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
  std::vector<std::atomic<int>> in_use(static_cast<size_t>(std::max(threads, 1)));
  std::atomic<bool> right{true};
  int64_t plain = 0;  // written by the caller before, by worker 0 inside, read after: a race if the joins are wrong
  std::vector<int64_t> written(static_cast<size_t>(tasks), -1);
  convkern::parallel_for(tasks, threads, [&](int64_t task, int worker) {
    if (task < 0 || task >= tasks || worker < 0 || worker >= std::max(threads, 1)) {
      right = false;
      return;
    }
    if (in_use[static_cast<size_t>(worker)].exchange(1) != 0) right = false;
    runs[static_cast<size_t>(task)].fetch_add(1);
    written[static_cast<size_t>(task)] = task;
    if (worker == 0) ++plain;
    const Clock::time_point start = Clock::now();
    while (task_microseconds > 0 && microseconds_since(start) < task_microseconds) {
    }
    in_use[static_cast<size_t>(worker)] = 0;
  });
  for (int64_t task = 0; task < tasks; ++task) {
    if (runs[static_cast<size_t>(task)] != 1 || written[static_cast<size_t>(task)] != task) return false;
  }
  return right && plain <= tasks;
}
