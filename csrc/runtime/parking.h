// A word that threads sleep on until it changes: the futex on Linux, a mutex and condition variable elsewhere.
// Knows nothing of what the change means. Starts at 0; may be constructed anew over sleeping threads of a forked
// parent.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <condition_variable>
#include <mutex>
#endif

namespace convkern {

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // a real delay; yield is a no-op on most cores
#endif
}

class ParkingWord {
 public:
  uint32_t load() const { return word_.load(std::memory_order_seq_cst); }

#if defined(__linux__)
  // Sleeps while the word equals `seen`; may also return without a cause.
  void wait(uint32_t seen) { syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0); }

  // Changes the word and wakes up to `sleepers` threads.
  void change_and_wake(int sleepers) {
    word_.fetch_add(1, std::memory_order_seq_cst);
    syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
  }

 private:
  std::atomic<uint32_t> word_{0};
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "the futex needs a plain word");
#else
  void wait(uint32_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (load() == seen) changed_.wait(lock);
  }

  void change_and_wake(int) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      word_.fetch_add(1, std::memory_order_seq_cst);
    }
    changed_.notify_all();
  }

 private:
  std::atomic<uint32_t> word_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
#endif
};

}  // namespace convkern
