// Where a worker sleeps, and how its caller moves it elsewhere. Linux only; elsewhere nothing happens.
//
// Why it is needed: Linux wakes a sleeping thread near its waker unless it sees an idle CPU, and in a virtual machine
// an idle CPU counts as taken once the hypervisor has put it to rest (vcpu_is_preempted). A worker is then woken on its
// caller's CPU, gets it when the caller is done, and the other CPUs stay idle: two threads at the speed of one, call
// after call. Knows nothing of jobs.
#pragma once

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>

namespace convkern {

// The CPU this thread is on, -1 if unknown.
inline int current_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// One worker's place. Made by the worker.
class Placement {
 public:
  // By the worker, before it sleeps.
  void sleep_here() { cpu_.store(current_cpu(), std::memory_order_relaxed); }

  // By one caller at a time: keeps the worker off `cpu`, the caller's, if that is where it went to sleep, and lets it
  // onto the CPU it was kept off before. It may use what the caller may; if somebody else confined it, no more than
  // that. Nothing happens where that leaves no CPU.
  void keep_off(int cpu) {
    if (cpu < 0 || cpu_.load(std::memory_order_relaxed) != cpu) return;
    cpu_.store(-1, std::memory_order_relaxed);
#if defined(__linux__)
    cpu_set_t rest;
    if (cpu >= CPU_SETSIZE || sched_getaffinity(thread_, sizeof rest, &rest) != 0) return;
    const bool ours = narrowed_ && CPU_EQUAL(&rest, &narrow_);
    if (ours && sched_getaffinity(0, sizeof rest, &rest) != 0) return;
    CPU_CLR(cpu, &rest);
    if (CPU_COUNT(&rest) == 0 || sched_setaffinity(thread_, sizeof rest, &rest) != 0) return;
    narrow_ = rest;
    narrowed_ = true;
#endif
  }

 private:
  std::atomic<int> cpu_{-1};
#if defined(__linux__)
  const int thread_ = static_cast<int>(syscall(SYS_gettid));
  cpu_set_t narrow_;
  bool narrowed_ = false;
#endif
};

}  // namespace convkern
